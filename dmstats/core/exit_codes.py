"""The exit codes of all commands, the same for `dmstats`, `flask` and `python -m`."""

from __future__ import annotations

OK = 0
FAILED = 1
"""The command failed (a database is unreachable), or a check failed (drift)."""
USAGE = 2
"""The arguments or settings are invalid, or no running service was found."""
INTERRUPTED = 130
"""Interrupted, the shells' code for Ctrl-C."""
