"""The collections that a commit writes.

In: rows and increments. Out: one transaction.
"""
