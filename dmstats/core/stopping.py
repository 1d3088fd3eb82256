"""The request to end this process, made by a signal.

A Python signal handler runs in the main thread between two of its instructions, whatever locks that
thread holds then. A handler that takes a lock can deadlock with the code that it interrupts:
``threading.Event.set`` does when the main thread is inside ``set`` or ``wait`` of the same event.
So the handler here writes one byte to a pipe and takes no lock.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(Protocol):
    """What a loop needs to know of the end; a ``threading.Event`` will do."""

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait up to ``timeout`` seconds, or for ever; whether the end was asked for."""


class StopSignal:
    """Asked for by SIGTERM, SIGINT or SIGHUP after :meth:`listen`; any number of them, at once."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def listen(self) -> None:
        """Take over the signals, in the main thread; for the rest of the process' life."""
        for number in SIGNALS:
            signal.signal(number, self.set)

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Take over the signals for a while, in the main thread."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def set(self, *_: object) -> None:
        """Ask for the end; safe in a signal handler, and in a handler that interrupts this one."""
        with suppress(BlockingIOError):  # the pipe is full of earlier requests
            os.write(self._writer, b"\0")

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait up to ``timeout`` seconds, or for ever; whether the end was asked for."""
        ready, _, _ = select.select([self._reader], [], [], timeout)
        return bool(ready)

    @staticmethod
    def ignore() -> None:
        """Ignore the signals until the process has ended: one more would spoil its exit status."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
