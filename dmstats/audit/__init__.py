"""Verifies the counters against the ledger.

In: ledger rows and counters. Out: differences, explained or repaired, and per-account activity.
"""
