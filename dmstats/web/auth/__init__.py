"""Authentication and authorisation: sessions, bearer tokens, sign-in and its limits.

In: a request. Out: an identity, or 401/403/429.
"""
