"""From ledger rows to one durable transaction.

In: the rows of many requests. Out: one committed batch, and the outcome for each request.
"""
