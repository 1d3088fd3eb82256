"""All access to MongoDB; no other package imports pymongo.

In: records and plain values. Out: the same; errors of :mod:`dmstats.core.errors`.
"""
