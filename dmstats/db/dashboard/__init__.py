"""Reads for the snapshot, the history and the account pages.

In: filters and positions. Out: readings, accounts, the stored snapshot.
"""
