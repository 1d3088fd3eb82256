"""Counted DMs over any range: its buckets, its comparison, and the documents to read.

In: a request and a clock. Out: points. Pure, except :mod:`dmstats.history.service`.
"""
