"""Storage of the audit.

In: ranges of the ledger and of the counters. Out: consistent sums, audit runs, repairs.
"""
