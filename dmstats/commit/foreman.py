"""Takes what the other workers of this host bring, and has it counted with what came here."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import gevent
import msgspec
from gevent.event import AsyncResult, Event
from gevent.server import StreamServer
from gevent.socket import AF_UNIX, socket

from dmstats.commit.batch import Counted
from dmstats.commit.group_commit import Committer
from dmstats.commit.handover import GOODBYE, Errand, Reply, encode, read_errand
from dmstats.commit.wire import Wire
from dmstats.core.errors import DmstatsError

log = logging.getLogger(__name__)

PULSE_SECONDS = 0.25
BACKLOG = 128
FLUSH_SECONDS = 0.5


class Foreman:
    """Listens at ``path``; that there is only one is for :class:`dmstats.commit.crew.Crew`."""

    def __init__(self, committer: Committer, path: Path) -> None:
        self._committer = committer
        self._path = path
        self._server: StreamServer | None = None
        self._talks: dict[_Talk, gevent.Greenlet] = {}

    def start(self) -> None:
        """Listen; raises ``OSError`` where ``path`` cannot be listened at."""
        self._path.unlink(missing_ok=True)
        listener = socket(AF_UNIX)
        try:
            listener.bind(str(self._path))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self._server = StreamServer(listener, self._talk)
        self._server.start()

    def say_goodbye(self) -> None:
        """Take nobody new; from now on another worker may be the foreman."""
        if self._server is not None:
            self._path.unlink(missing_ok=True)
            self._server.close()
            self._server = None
        for talk in self._talks:
            talk.reply(Reply(GOODBYE))

    def until_everything_is_here(self, *, seconds: float) -> None:
        """Wait for what the others were about to hand over when they heard goodbye."""
        gevent.wait([talk.everything for talk in self._talks], timeout=seconds)

    def close(self, *, seconds: float) -> None:
        """Hang up, once the others have heard what was counted."""
        talking = list(self._talks.values())
        gevent.joinall(talking, timeout=seconds)
        gevent.killall(talking)

    def _talk(self, connection: socket, _: object) -> None:
        talk = _Talk(connection, self._committer)
        self._talks[talk] = gevent.getcurrent()
        try:
            talk.run()
        finally:
            del self._talks[talk]


class _Talk:
    """One worker's errands and the replies to them."""

    def __init__(self, connection: socket, committer: Committer) -> None:
        self._wire = Wire(connection, pulse=PULSE_SECONDS)
        self._committer = committer
        self._open: set[AsyncResult[Counted]] = set()
        self.everything = Event()

    def run(self) -> None:
        # At once: it does not trust a foreman that it has not heard of.
        self._wire.send(b"")
        try:
            for message in self._wire:
                self._take(read_errand(message))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            log.warning("errands_broken_off", extra={"reason": type(error).__name__})
        finally:
            self.everything.set()
        gevent.wait(list(self._open))
        self._wire.close(seconds=FLUSH_SECONDS)

    def reply(self, reply: Reply) -> None:
        self._wire.send(encode(reply))

    def _take(self, errand: Errand) -> None:
        try:
            result = self._committer.enqueue(
                errand.rows, rejected=errand.rejected, seconds=errand.seconds
            )
        except DmstatsError as error:
            self.reply(Reply(errand.number, reason=str(error)))
        else:
            self._open.add(result)
            result.rawlink(partial(self._done, errand.number))

    def _done(self, number: int, result: AsyncResult[Counted]) -> None:
        self._open.discard(result)
        if result.successful():
            self.reply(Reply(number, result.value))
        else:
            self.reply(Reply(number, reason=str(result.exception)))
