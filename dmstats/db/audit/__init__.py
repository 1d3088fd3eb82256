"""What the audit reads and keeps.

In: ranges of the ledger and of the counters. Out: sums of one moment, runs, repairs.
"""
