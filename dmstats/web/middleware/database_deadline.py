"""Limits the total time that a request may wait for MongoDB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dmstats.db.client import deadline

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_SECONDS = 5.0
REFRESH_SECONDS = 60.0
REFRESHING = ("/api/cron/",)
"""These routes compute the snapshot, and their caller is a cron job that can wait."""


class DatabaseDeadline:
    """WSGI middleware. Streamed parts of a response have only the client's limit per command."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refreshing = environ.get("PATH_INFO", "").startswith(REFRESHING)
        with deadline(REFRESH_SECONDS if refreshing else REQUEST_SECONDS):
            return self._application(environ, start_response)
