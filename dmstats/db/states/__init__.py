"""The accounts' rhythms and states.

In: typed records. Out: documents of ``dmstats_account_activity`` and ``dmstats_account_states``.
"""
