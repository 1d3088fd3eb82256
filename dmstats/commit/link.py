"""A worker's connection to the foreman of its host."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import gevent
import msgspec
from gevent.event import AsyncResult, Event
from gevent.socket import AF_UNIX, socket

from dmstats.commit.batch import Counted
from dmstats.commit.batch_writer import LATE
from dmstats.commit.handover import GOODBYE, Errand, Reply, encode, read_reply
from dmstats.commit.wire import Wire
from dmstats.core.errors import Unavailable
from dmstats.core.records import LedgerRow

SILENCE_SECONDS = 1.0
"""A foreman that says nothing for so long is stopped: it sends a pulse four times as often."""


class Lost(Exception):
    """The foreman is gone, and whether it counted not known; the ledger makes it safe to repeat."""


class Link:
    """Hands events over; raises ``OSError`` where nobody listens or nobody is alive."""

    def __init__(self, path: Path, *, silence: float) -> None:
        connection = socket(AF_UNIX)
        connection.settimeout(silence)
        try:
            connection.connect(str(path))
        except BaseException:
            connection.close()
            raise
        self._wire = Wire(connection, silence=silence)
        self._asked: dict[int, AsyncResult[Reply]] = {}
        self._numbers = itertools.count()
        self._heard = Event()
        self._over = Event()
        self._reader = gevent.spawn(self._read)
        # Its kernel accepts connections for a foreman that is stopped, too.
        self._heard.wait(silence)
        if self._over.is_set() or not self._heard.is_set():
            self.close()
            raise ConnectionAbortedError("no foreman is alive")

    def ask(self, rows: Sequence[LedgerRow], *, rejected: int, seconds: float) -> Counted:
        """Have the foreman count ``rows``, and wait for it.

        Raises :class:`Unavailable` where they are not known to be durable, and :class:`Lost`.
        """
        if self._over.is_set():
            raise Lost
        number = next(self._numbers)
        result = self._asked[number] = AsyncResult()
        self._wire.send(encode(Errand(number, seconds, rejected, rows)))
        try:
            reply: Reply = result.get(timeout=seconds)
        except gevent.Timeout:
            raise Unavailable(LATE) from None
        finally:
            self._asked.pop(number, None)
        if reply.counted is None:
            raise Unavailable(reply.reason)
        return reply.counted

    def until_over(self) -> None:
        """Wait until nothing more can be asked: the foreman is leaving, or gone."""
        self._over.wait()

    def leave(self, *, seconds: float) -> None:
        """Ask nothing more, hear what was asked, and hang up within ``seconds``."""
        self._over.set()
        self._wire.finish()
        self._reader.join(seconds)
        self.close()

    def close(self) -> None:
        """Hang up; whoever still waits is told."""
        self._reader.kill()

    def _read(self) -> None:
        try:
            for message in self._wire:
                self._heard.set()
                if message:
                    self._hear(read_reply(message))
        except (OSError, ValueError, msgspec.MsgspecError):
            pass  # whoever waits is told below, and whoever asks next
        finally:
            self._over.set()
            self._heard.set()
            self._wire.close()
            for result in self._asked.values():
                result.set_exception(Lost())

    def _hear(self, reply: Reply) -> None:
        if reply.number == GOODBYE:
            self._over.set()
            # So that the foreman knows when it has everything.
            self._wire.finish()
        elif result := self._asked.get(reply.number):
            result.set(reply)
