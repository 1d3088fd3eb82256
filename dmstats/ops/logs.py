"""Structured logging: one JSON line per event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from dmstats.core.non_blocking_stream import standard_error

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


def configure(context: Context = dict, *, level: int = logging.INFO) -> None:
    """Send the log of the whole process to standard error, as JSON lines."""
    handler = logging.StreamHandler(standard_error())
    handler.setFormatter(JsonLines(context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in SILENCED.items():
        logging.getLogger(name).setLevel(least)
