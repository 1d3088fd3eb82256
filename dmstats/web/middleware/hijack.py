"""Hijacks the connection of an event stream from gunicorn.

Gunicorn keeps a greenlet per connection, with its stack and the request: about 20 kB for as long as
a dashboard is open, and a context switch for every event. A stream needs only its socket.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from gevent import monkey

from dmstats.web.api.stream import KEY, StreamBody

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class ConnectionHijack:
    """The outermost middleware of the application.

    With other servers than gunicorn, and over TLS, HTTP/2 and HTTP/1.0, the server keeps the
    connection, in one greenlet or thread per stream.

    Raises ``StopIteration`` once it has taken a connection over, which makes gunicorn's
    asynchronous workers close their side of it.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer: tuple[str, list[tuple[str, str]]] | None = None

        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal answer
            answer = line, headers
            return start_response(line, headers, *exc_info)

        body = self._application(environ, start)
        stream: StreamBody | None = environ.pop(KEY, None)
        if stream is None or answer is None or environ["REQUEST_METHOD"] != "GET":
            return body
        connection = _hijacked_from(environ)
        if connection is None:
            return body
        stream.hand_over(connection, _head(*answer), getattr(body, "close", stream.close))
        # Gunicorn leaves the connection for good. Told only that the answer was given, it would go
        # on with what the client sent behind this request, and write that answer into the stream.
        raise StopIteration


def _hijacked_from(environ: WSGIEnvironment) -> socket.socket | None:
    """Take ownership of the client's connection; None if that is not possible."""
    theirs = environ.get("gunicorn.socket")
    if (
        theirs is None
        or isinstance(theirs, ssl.SSLSocket)
        or environ["SERVER_PROTOCOL"] != "HTTP/1.1"
    ):
        return None
    try:
        fileno = os.dup(theirs.fileno())
    except OSError:
        return None
    # Not gevent's class: no greenlet ever waits for this socket.
    ours: socket.socket = monkey.get_original("socket", "socket")(fileno=fileno)
    ours.settimeout(0)
    return ours


def _head(line: str, headers: list[tuple[str, str]]) -> bytes:
    fields = [
        ("Date", formatdate(usegmt=True)),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        *headers,
    ]
    lines = [f"HTTP/1.1 {line}", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")
