"""Writing to a pipe whose reader may hang.

Gunicorn's master imports this module: it must import nothing that opens a socket or starts a
thread.
"""

from __future__ import annotations

import json
import os
import select
import sys
from datetime import UTC, datetime
from typing import Any

WRITE_WAIT_MS = 100


class NonBlockingStream:
    """Writes lines to a file descriptor, and drops those that its reader does not take.

    A log driver that hangs, or Ctrl-S in the terminal, fills the pipe. A write would then wait, and
    with it everything else in this process, deliveries among it. A reader that is only slow is
    waited for, :data:`WRITE_WAIT_MS` once; afterwards a line says how many were dropped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # gevent's poll would let other greenlets run, in the middle of a line.
        gevent_monkey = sys.modules.get("gevent.monkey")
        poll = gevent_monkey.get_original("select", "poll") if gevent_monkey else select.poll
        self._poll = poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._dropped = 0
        self._is_cut = False

    def write(self, line: str) -> None:
        """Write ``line``, or as much of it as the reader takes."""
        raw = line.encode("utf-8", "backslashreplace")
        if self._dropped:
            note = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "level": "warning",
                "logger": __name__,
                "event": "log_lines_dropped",
                "lines": self._dropped,
            }
            raw = json.dumps(note).encode() + b"\n" + raw
        if self._is_cut:
            raw = b"\n" + raw
        for start in range(0, len(raw), select.PIPE_BUF):
            # A pipe that is writable takes so many bytes at once.
            taken = self._poll.poll(0 if self._dropped else WRITE_WAIT_MS)
            if taken:
                try:
                    os.write(self._descriptor, raw[start : start + select.PIPE_BUF])
                except OSError:  # the reader is gone
                    taken = []
            if not taken:
                self._dropped += 1
                self._is_cut = self._is_cut or start > 0
                return
        self._dropped, self._is_cut = 0, False

    def flush(self) -> None:
        """Nothing is kept."""


def standard_error() -> Any:
    """Standard error without waiting for its reader."""
    try:
        return NonBlockingStream(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # replaced, or closed
        return sys.stderr
