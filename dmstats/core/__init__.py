"""Shared by all packages: time, errors, records, settings and constants.

In: nothing. Out: plain data and pure functions.
"""
