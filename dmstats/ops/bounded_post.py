"""Posts to an address with one deadline for the whole exchange. urllib3's timeouts apply to each
read, so a server that sends a byte now and then could block it for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError

from dmstats.ops.outgoing import pool_for

BAD_REQUEST = 400


class Posted(threading.Thread):
    """Posts the first of ``bodies``, and the next one if the answer is 400; each step (connect,
    send, read) takes at most ``step_seconds``. :meth:`wait` starts it.

    Only the status and the headers are read: afterwards they are in ``status`` (0 without an
    answer) and ``headers``; ``problem`` names the error, if there was one.
    """

    def __init__(
        self, url: str, bodies: Sequence[bytes], headers: dict[str, str], step_seconds: float
    ) -> None:
        super().__init__(name="bounded-post", daemon=True)
        self.status = 0
        self.headers: Any = {}
        self.problem = "not sent"
        self._url = url
        self._bodies = bodies
        self._sent_headers = headers
        self._step_seconds = step_seconds
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_late = False

    def wait(self, seconds: float) -> bool:
        """Post; returns whether it finished within ``seconds``. Otherwise the connection is
        closed."""
        self.start()
        self.join(seconds)
        if not self.is_alive():
            return True
        with self._guard:
            self._is_late = True
            self._end_connection()
        return False

    def run(self) -> None:
        try:
            self._post()
            self.problem = ""
        except (HTTPError, ValueError) as error:  # ValueError: an address that cannot be encoded
            self.problem = type(error).__name__
        finally:
            with self._guard:
                self._end_connection()

    def _post(self) -> None:
        with pool_for(self._url, retries=False, timeout=self._step_seconds) as http:
            pool = http.connection_from_url(self._url)
            pool.ConnectionCls = _watched(pool.ConnectionCls, self)
            for body in self._bodies:
                answer = http.request(
                    "POST",
                    self._url,
                    body=body,
                    headers=self._sent_headers,
                    redirect=False,
                    preload_content=False,
                )
                answer.close()  # the body may be of any length, and is not needed
                self.status, self.headers = answer.status, answer.headers
                if answer.status != BAD_REQUEST:
                    break

    def watch(self, connected: socket.socket) -> None:
        """Remember a connection. A copy, as TLS takes over the socket itself."""
        with self._guard:
            self._end_connection()
            self._socket = connected.dup()
            if self._is_late:
                self._end_connection()
                raise ConnectTimeoutError("too late")

    def _end_connection(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None


def _watched(kind: Any, posted: Posted) -> Any:
    class Watched(kind):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            connected: socket.socket = super()._new_conn()
            posted.watch(connected)
            return connected

    return Watched


def problem_of_address(url: str) -> str:
    """Why ``url`` cannot be used, without any part of it; empty if it can."""
    try:
        parts = urllib3.util.parse_url(url)
        host = (parts.host or "").strip("[]")
        host.encode("idna")
    except (HTTPError, ValueError):
        return "the address is not valid"
    if not host:
        return "the address has no valid host"
    return "the port must be from 1 to 65535" if parts.port == 0 else ""
