"""The HTML pages and the files they load.

In: a signed-in admin's request. Out: HTML and assets.
"""
