"""Many open event streams in one ``epoll`` loop, and when the last of them has heard something."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

HEAR_SECONDS = 10.0
SMALL_BUFFER = 4096
GONE = struct.pack("ii", 1, 0)
"""SO_LINGER that makes ``close`` send a reset: no word of good-bye."""


class Connections:
    """``count`` clients of the stream at ``path``."""

    def __init__(
        self,
        port: int,
        path: str,
        headers: Mapping[str, str],
        count: int,
    ) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n".encode()
        self._port = port
        self._poll = select.epoll()
        self._clients: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        self._deaf: list[socket.socket] = []
        self.join(count)

    def __len__(self) -> int:
        """How many are listening."""
        return len(self._clients)

    def join(self, count: int) -> None:
        """Open ``count`` more streams."""
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            client.sendall(self._request)
            client.settimeout(0)
            self._clients[client.fileno()] = client
            self._poll.register(client, select.EPOLLIN)

    def join_deaf(self, count: int) -> None:
        """Open ``count`` streams that nobody reads, with hardly any room for what comes."""
        for _ in range(count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
            client.connect(("127.0.0.1", self._port))
            client.sendall(self._request)
            self._deaf.append(client)

    def vanish(self) -> None:
        """Reset every connection, as a machine that lost its network and came back does."""
        for client in self._clients.values():
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, GONE)
            client.close()
        self._clients.clear()

    def hear(self, mark: str, *, seconds: float = HEAR_SECONDS) -> tuple[float, int]:
        """Seconds until every client has received ``mark``, and how many never did."""
        started = time.perf_counter()
        wanted = mark.encode()
        waiting = set(self._clients)
        self._tails = dict.fromkeys(waiting, b"")
        while waiting and time.perf_counter() - started < seconds:
            for number, _ in self._poll.poll(0.5):
                if self._heard(number, wanted):
                    waiting.discard(number)
        return time.perf_counter() - started, len(waiting)

    def _heard(self, number: int, wanted: bytes) -> bool:
        try:
            data = self._clients[number].recv(262_144)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:  # the server hung up: that one never hears it
            self._poll.unregister(number)
            return False
        text = self._tails.get(number, b"") + data
        self._tails[number] = text[-len(wanted) :]
        return wanted in text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in [*self._clients.values(), *self._deaf]:
            with contextlib.suppress(OSError):
                client.close()
        self._poll.close()
