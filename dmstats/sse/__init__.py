"""From Redis to open dashboards.

In: published snapshots, one subscription per worker. Out: server-sent events on every open stream.
"""
