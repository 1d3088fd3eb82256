"""Stop requests from signals.

A Python signal handler runs in the main thread between two instructions, even if that thread holds
locks. A handler that takes a lock can therefore deadlock with the code it interrupts, as
``threading.Event.set`` does if the main thread is inside ``set`` or ``wait`` of the same event.
This handler writes one byte to a pipe and takes no lock.
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
    """A stop request that loops can wait for; a ``threading.Event`` fits."""

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait up to ``timeout`` seconds, or for ever; True once a stop was requested."""


class StopSignal:
    """A stop request by SIGTERM, SIGINT or SIGHUP after :meth:`listen`; may be repeated."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)

    def listen(self) -> None:
        """Install the signal handlers for the rest of the process; main thread only."""
        for number in SIGNALS:
            signal.signal(number, self.set)

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Install the signal handlers inside the context; main thread only."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def set(self, *_: object) -> None:
        """Request a stop; safe in a signal handler, also if another signal interrupts it."""
        with suppress(BlockingIOError):  # the pipe is full of earlier requests
            os.write(self._writer, b"\0")

    def wait(self, timeout: float | None = None, /) -> bool:
        """Wait up to ``timeout`` seconds, or for ever; True once a stop was requested."""
        ready, _, _ = select.select([self._reader], [], [], timeout)
        return bool(ready)

    @staticmethod
    def ignore() -> None:
        """Ignore further signals until the process ends: they would change its exit status."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
