"""Counters and rhythm → each account's states.

In: the accounts' documents and the last audit. Out: the states for lists and counts.
"""
