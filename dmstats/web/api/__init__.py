"""The JSON and event-stream routes.

In: authenticated requests. Out: JSON by schema, or server-sent events.
"""
