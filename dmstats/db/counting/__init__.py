"""Storage of counting: the ledger, the counters, and the purge of simulated traffic.

In: rows and increments. Out: one transaction.
"""
