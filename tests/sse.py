"""A client of the event stream on a blocking socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

PATH = "/api/admin/stats/stream"


class Stream:
    """One open stream. ``next`` waits for the next event and returns its fields."""

    def __init__(
        self,
        port: int,
        token: str = "",
        *,
        query: str = "",
        timeout: float = 20.0,
        http: str = "1.1",
        cookie: str = "",
        path: str = PATH,
    ) -> None:
        who = f"Cookie: {cookie}" if cookie else f"Authorization: Bearer {token}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.sendall(
            f"GET {path}{query} HTTP/{http}\r\nHost: localhost:{port}\r\n{who}\r\n\r\n".encode()
        )
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self._events = self._parse()

    def next(self, kind: str | None = None) -> dict[str, str]:
        """The next event, of that type if one is named; ``StopIteration`` at the clean end."""
        while True:
            event = next(self._events)
            if kind is None or event.get("event") == kind:
                return event

    def next_data(self, kind: str) -> Any:
        return json.loads(self.next(kind)["data"])

    def rest(self) -> list[dict[str, str]]:
        """All events until the stream ends."""
        return list(self._events)

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def _chunks(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding") != "chunked":
            yield from iter(self._file.readline, b"")
            return
        while size := int(self._file.readline() or b"0", 16):
            yield self._file.read(size)
            self._file.readline()

    def _parse(self) -> Iterator[dict[str, str]]:
        text = b""
        for chunk in self._chunks():
            text += chunk
            while b"\n\n" in text:
                event, text = text.split(b"\n\n", 1)
                lines = (line.partition(":") for line in event.decode().split("\n"))
                yield {name: value for name, _, value in lines}
