"""Below which path a trusted proxy has the service, as it says in ``X-Forwarded-Prefix``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "HTTP_X_FORWARDED_PREFIX"
PLAIN = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


def plain_prefix(application: WSGIApplication) -> WSGIApplication:
    """Drop a prefix that is no plain path before ``application`` believes it.

    A proxy that neither sets nor removes the header passes on whatever a client has sent, and what
    begins with two slashes is another host in each link of the page.
    """

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        told = environ.get(HEADER)
        if told is not None:
            prefixes = [prefix.strip() for prefix in told.split(",")]
            if all(PLAIN.fullmatch(prefix) for prefix in prefixes):
                environ[HEADER] = ",".join(prefix.rstrip("/") for prefix in prefixes)
            else:
                del environ[HEADER]
        return application(environ, start_response)

    return checked
