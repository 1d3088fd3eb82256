"""Validates ``X-Forwarded-Prefix``, the path under which a proxy serves dmstats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "HTTP_X_FORWARDED_PREFIX"
PLAIN = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?")


def plain_prefix(application: WSGIApplication) -> WSGIApplication:
    """Remove a prefix that is not a plain path before ``application`` uses it.

    A proxy that neither sets nor removes the header forwards the client's value. One that begins
    with two slashes would turn the links of the page into links to another host.
    """

    def checked(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get(HEADER)
        if given is not None:
            prefixes = [prefix.strip() for prefix in given.split(",")]
            if all(PLAIN.fullmatch(prefix) for prefix in prefixes):
                environ[HEADER] = ",".join(prefix.rstrip("/") for prefix in prefixes)
            else:
                del environ[HEADER]
        return application(environ, start_response)

    return checked
