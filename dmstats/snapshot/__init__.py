"""Builds the snapshot that admins see from the counters.

In: readings of the counters. Out: one snapshot a minute, stored, cached and published.
"""
