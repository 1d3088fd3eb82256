"""A stream without a greenlet: the greenlet that offers an event writes it to the socket."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent import get_hub

from dmstats.sse.buffer import EventBuffer
from dmstats.sse.messages import LAST_CHUNK

READABLE, WRITABLE = 1, 2


class SocketStream(EventBuffer):
    """Writes as much as the kernel accepts, and the rest when the socket is writable again.

    A client that closes the connection ends the stream at once; otherwise a closed page would keep
    its place under the stream limit for two heartbeats.

    ``connection`` must be non-blocking and in the middle of a chunked body. ``on_end`` is called
    once when the stream has ended. It runs in the event loop, so it must not block.
    """

    __slots__ = ("_connection", "_on_end", "_reader", "_rest", "_watcher")

    def __init__(
        self,
        monotonic: Callable[[], float],
        connection: socket.socket,
        before: EventBuffer,
        first: bytes,
        on_end: Callable[[], None],
    ) -> None:
        """Continue the stream of the buffer ``before``, starting with the bytes ``first``."""
        super().__init__(monotonic, before.session, before.parts)
        self._connection = connection
        self._on_end: Callable[[], None] | None = on_end
        self._rest: bytes | memoryview = first
        self._watcher: Any = None
        self._reader: Any = None
        self.order = before.order
        self.closed = before.closed
        while (event := before.poll()) is not None:
            self._events[event.type] = event

    def start(self) -> None:
        """Start writing."""
        if self.closed:
            self.close()
            return
        self._reader = get_hub().loop.io(self._connection.fileno(), READABLE)
        self._reader.start(self._read)
        self._write()

    def close(self) -> None:
        """Close the stream, with a final chunk unless part of an event is still unsent."""
        self.closed = True
        watchers, self._watcher, self._reader = (self._watcher, self._reader), None, None
        for watcher in watchers:
            if watcher is not None:
                watcher.stop()
                # Deferred: this may run inside the watcher's own callback.
                get_hub().loop.run_callback(watcher.close)
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            with suppress(OSError):
                if not self._rest:
                    self._connection.send(LAST_CHUNK)
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            on_end()

    drop = close

    def _wake(self) -> None:
        if self.writing_since is None and not self.closed:
            self._write()

    def _read(self) -> None:
        try:
            sent = self._connection.recv(1)
        except BlockingIOError:
            return
        except OSError:
            sent = b""
        if sent:
            self._reader.stop()  # a pipelined request, which is never answered
        else:
            self.close()

    def _write(self) -> None:
        while not self.closed:
            if not self._rest:
                event = self.poll()
                if event is None:
                    break
                self._rest = event.chunk
            try:
                sent = self._connection.send(self._rest)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()  # the client has disconnected
                return
            if sent < len(self._rest):
                self._rest = memoryview(self._rest)[sent:]
                self._wait()
                return
            self._rest, self.writing_since = b"", None
        if self._watcher is not None:
            self._watcher.stop()

    def _wait(self) -> None:
        if self.writing_since is None:
            self.writing_since = self._clock()
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._connection.fileno(), WRITABLE)
        if not self._watcher.active:
            self._watcher.start(self._write)
