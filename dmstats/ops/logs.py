"""Structured logging: one JSON line per event."""

from __future__ import annotations

import json
import logging
import os
import select
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

WRITE_WAIT_MS = 100

Context = Callable[[], Mapping[str, str]]

SILENCED = {
    "apscheduler": logging.WARNING,
    "apscheduler.scheduler": logging.ERROR,  # it warns of each run that a long one leaves out
    "pymongo": logging.WARNING,
}


class JsonLines(JsonFormatter):
    """``time``, ``level``, ``logger``, ``event``, then the call's ``extra`` fields.

    JSON escapes line breaks, so no value can forge a line. ``context`` returns fields that are
    added to every line.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        log_data["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(
            timespec="milliseconds"
        )
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["event"] = record.getMessage()
        log_data.update(self._context())
        super().add_fields(log_data, record, message_dict)
        log_data.pop("message", None)


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
            if not self._poll.poll(0 if self._dropped else WRITE_WAIT_MS):
                self._dropped += 1
                self._is_cut = self._is_cut or start > 0
                return
            os.write(self._descriptor, raw[start : start + select.PIPE_BUF])
        self._dropped, self._is_cut = 0, False

    def flush(self) -> None:
        """Nothing is kept."""


def _standard_error() -> Any:
    try:
        return NonBlockingStream(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # replaced, or closed
        return sys.stderr


def configure(context: Context = dict, *, level: int = logging.INFO) -> None:
    """Send the log of the whole process to standard error, as JSON lines."""
    handler = logging.StreamHandler(_standard_error())
    handler.setFormatter(JsonLines(context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in SILENCED.items():
        logging.getLogger(name).setLevel(least)
