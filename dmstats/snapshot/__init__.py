"""From counters to what admins see.

In: readings of the counters. Out: one snapshot a minute, stored, cached and published.
"""
