"""Gunicorn's own log, which never holds up a process.

A master that waits for the reader of its log would replace no dead worker, and would not stop.
The master imports this module: it must import nothing that opens a socket or starts a thread.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger

from dmstats.core.non_blocking_stream import standard_error


class GunicornLog(Logger):  # type: ignore[misc]
    """Drops lines that nobody reads; the format is Gunicorn's."""

    def setup(self, cfg: Any) -> None:
        """Called at the start and at each reload."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
                handler.setStream(standard_error())
