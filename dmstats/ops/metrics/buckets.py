"""Histogram buckets."""

from __future__ import annotations

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds; Meta's time-out is 5."""

SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0)
"""Seconds, for durations that include the wait for a refresh."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
"""Events per batch, at most 2000."""
