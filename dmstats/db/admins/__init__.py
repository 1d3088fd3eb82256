"""The people who can sign in.

In: emails and passwords. Out: admins.
"""
