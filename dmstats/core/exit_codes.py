"""What a command's exit status means, the same by every way to run it."""

from __future__ import annotations

OK = 0
FAILED = 1
"""It could not be done (a database is away), or what was checked is wrong (drift)."""
USAGE = 2
"""The command line or the settings are wrong, or no running service was found."""
INTERRUPTED = 130
"""Ended before it was done, as shells have it for Ctrl-C."""
