"""Counted DMs over any range: which buckets, compared with what, read from which documents.

In: a request and a clock. Out: points. Pure, but for :mod:`dmstats.history.service`.
"""
