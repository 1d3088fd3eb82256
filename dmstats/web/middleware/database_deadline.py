"""Bounds what a request of an admin may wait for MongoDB, all its reads together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dmstats.db.client import deadline

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_SECONDS = 5.0
REFRESH_SECONDS = 60.0
REFRESHING = ("/api/cron/",)
"""Computes the figures itself, and its caller is a job that waits."""


class DatabaseDeadline:
    """WSGI middleware; what a response streams later has the client's own limit per command."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        refreshing = environ.get("PATH_INFO", "").startswith(REFRESHING)
        with deadline(REFRESH_SECONDS if refreshing else REQUEST_SECONDS):
            return self._application(environ, start_response)
