"""Many open event streams in one ``epoll`` loop, and when the last of them has heard something."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

HEAR_SECONDS = 10.0


class Audience:
    """``count`` clients of the stream at ``path``."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str], count: int) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()
        self._poll = select.epoll()
        self._clients: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(request)
            client.settimeout(0)
            self._clients[client.fileno()] = client
            self._poll.register(client, select.EPOLLIN)

    def hear(self, mark: str) -> tuple[float, int]:
        """Seconds until every client has received ``mark``, and how many never did."""
        started = time.perf_counter()
        wanted = mark.encode()
        waiting = set(self._clients)
        self._tails = dict.fromkeys(waiting, b"")
        while waiting and time.perf_counter() - started < HEAR_SECONDS:
            for number, _ in self._poll.poll(0.5):
                if self._heard(number, wanted):
                    waiting.discard(number)
        return time.perf_counter() - started, len(waiting)

    def _heard(self, number: int, wanted: bytes) -> bool:
        with contextlib.suppress(BlockingIOError):
            text = self._tails[number] + self._clients[number].recv(262_144)
            self._tails[number] = text[-len(wanted) :]
            return wanted in text
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            client.close()
        self._poll.close()
