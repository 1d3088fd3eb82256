"""From the ledger to proof.

In: ledger rows and counters. Out: differences, explained or repaired, and per-account activity.
"""
