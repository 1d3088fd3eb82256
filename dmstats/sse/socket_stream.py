"""A stream that is a socket and no greenlet: whoever offers an event writes it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gevent import get_hub

from dmstats.sse.buffer import EventBuffer
from dmstats.sse.messages import LAST_CHUNK

WRITABLE = 2


class SocketStream(EventBuffer):
    """Writes what the kernel takes at once, and the rest of an event when it takes more.

    ``connection`` must not block, and be in the middle of a chunked body. ``on_end`` is called
    once, when the stream has ended: in the event loop itself, so it must not wait for anything.
    """

    __slots__ = ("_connection", "_on_end", "_rest", "_watcher")

    def __init__(
        self,
        monotonic: Callable[[], float],
        connection: socket.socket,
        before: EventBuffer,
        first: bytes,
        on_end: Callable[[], None],
    ) -> None:
        """Go on with the stream of the mailbox ``before``, after the bytes ``first``."""
        super().__init__(monotonic, before.session)
        self._connection = connection
        self._on_end: Callable[[], None] | None = on_end
        self._rest: bytes | memoryview = first
        self._watcher: Any = None
        self.order = before.order
        self.closed = before.closed
        while (event := before.poll()) is not None:
            self._events[event.type] = event

    def start(self) -> None:
        """Begin to write."""
        if self.closed:
            self.close()
        else:
            self._write()

    def close(self) -> None:
        """End the stream: cleanly, unless the client has not even taken what there was."""
        self.closed = True
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            # Not now: this may be its own callback.
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
                self.close()  # the client is gone, and what was not sent is left over
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
