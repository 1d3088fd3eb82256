"""Who may sign in.

In: emails and passwords. Out: admins.
"""
