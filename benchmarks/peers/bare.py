"""The least that an application can do under gunicorn: read the body, answer. What is left is what
gunicorn, gevent and the sockets cost on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

HEADERS = [("Content-Type", "application/json"), ("Content-Length", "2")]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """200 to everything."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", list(HEADERS))
    return [b"{}"]
