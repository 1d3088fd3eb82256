"""Counters and rhythm → each account's states.

In: what the accounts' documents and the last audit say. Out: the states that lists and counts are
made of.
"""
