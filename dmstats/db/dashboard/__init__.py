"""What a snapshot and the account pages are read from.

In: filters and positions. Out: readings, accounts, the stored snapshot.
"""
