"""Messages both ways over a stream socket: each a length (4 bytes, big-endian) and that many bytes.

An empty message says no more than that its sender is alive and not held up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import gevent
from gevent.event import Event
from gevent.socket import SHUT_RDWR, SHUT_WR, socket

LENGTH = 4
MAX_MESSAGE = 16 * 1024 * 1024
ALIVE = b""


class Wire:
    """One end of a connection; what is sent meanwhile gathers behind the write under way.

    ``pulse``: the seconds without a message of ours after which :data:`ALIVE` is sent.
    ``silence``: the seconds without a byte of the other side's after which it counts as gone.
    """

    def __init__(
        self, connection: socket, *, pulse: float | None = None, silence: float | None = None
    ) -> None:
        connection.settimeout(silence)
        self._socket = connection
        self._pulse = pulse
        self._outgoing: list[bytes] = []
        self._something = Event()
        self._finished = False
        self._writer = gevent.spawn(self._write)

    def send(self, message: bytes) -> None:
        """Have ``message`` sent; never blocks, and fails where the reading does."""
        self._outgoing += (len(message).to_bytes(LENGTH, "big"), message)
        self._something.set()

    def __iter__(self) -> Iterator[bytes]:
        """What the other side sends, until it finishes; raises ``OSError`` if that is no end.

        A message over :data:`MAX_MESSAGE` bytes is a ``ValueError``.
        """
        with self._socket.makefile("rb") as file:
            while len(header := file.read(LENGTH)) == LENGTH:
                size = int.from_bytes(header, "big")
                if size > MAX_MESSAGE:
                    raise ValueError("too long a message")
                message = file.read(size)
                if len(message) < size:
                    return
                yield message

    def finish(self) -> None:
        """Send what is left and then no more; the other side's messages may still come."""
        self._finished = True
        self._something.set()

    def close(self, *, seconds: float = 0.0) -> None:
        """Finish within ``seconds``, and hang up."""
        self.finish()
        self._writer.join(seconds)
        self._writer.kill(block=False)
        self._hang_up()

    def _write(self) -> None:
        try:
            while self._outgoing or not self._finished:
                if self._something.wait(self._pulse):
                    self._something.clear()
                else:
                    self.send(ALIVE)
                gathered, self._outgoing = self._outgoing, []
                self._socket.sendall(b"".join(gathered))
            self._socket.shutdown(SHUT_WR)
        except OSError:
            # The reading side notices at once, and has somebody to tell.
            self._hang_up()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)
        self._socket.close()
