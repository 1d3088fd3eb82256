"""From Meta's POST to ledger rows.

In: a signed webhook body. Out: ledger rows for :mod:`dmstats.commit`, and the answer to Meta.
"""
