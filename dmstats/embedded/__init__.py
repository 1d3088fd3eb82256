"""Embedded: the all-in-one start, with its own databases, secrets and supervision."""
