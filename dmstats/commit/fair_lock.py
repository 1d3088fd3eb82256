"""Committers of one host take turns, so that they seldom meet in the database.

Two transactions that meet cost both a round of work and one of them everything; under load they
meet each time, at the global document. Nothing depends on these turns: whoever waits too long goes
ahead without one, and conflicts remain what keeps the counting exact.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import gevent

from dmstats.commit.session_files import private
from dmstats.core.clock import Clock

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Longer than a turn lasts: its holder is stopped, or the database hangs."""
IN_VAIN_SECONDS = 10.0
"""For so long after a wait in vain nobody is waited for: a stopped holder does not come back soon,
and what it left locked in the database is found by trying."""
LOOK_EVERY_SECONDS = 0.001


class FairFileLock:
    """Two locked files in ``folder``: whose turn it is, and who is next.

    Who wants another turn has to become the next first, so nobody takes two while another waits.
    The kernel gives both locks back when their holder dies. For one greenlet of the process.
    """

    def __init__(self, folder: Path, clock: Clock, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._folder = folder
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self._failed = False
        self._hurried_until = float("-inf")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the turn, at most the patience, and keep it while the context lasts."""
        files = self._files or self._open()
        if files is None:
            yield
            return
        now, following = files
        started = self._clock.monotonic()
        deadline = started if started < self._hurried_until else started + self._wait_seconds
        try:
            came = False
            if self._wait(following, deadline):
                try:
                    came = self._wait(now, deadline)
                finally:
                    fcntl.flock(following, fcntl.LOCK_UN)
            if not came and deadline > started:
                self._hurried_until = self._clock.monotonic() + IN_VAIN_SECONDS
            yield
        finally:
            fcntl.flock(now, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give everything back, as the end of the process does."""
        for file in self._files or ():
            file.close()
        self._files = None

    def _wait(self, file: IO[bytes], deadline: float) -> bool:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    return False
                gevent.sleep(LOOK_EVERY_SECONDS)
            else:
                return True

    def _open(self) -> tuple[IO[bytes], IO[bytes]] | None:
        if self._failed:
            return None
        now, following = (self._folder / name for name in ("now.turn", "next.turn"))
        try:
            private(self._folder)
            # Kept open for life, and opened no earlier than here: a lock is shared over a fork.
            self._files = now.open("wb"), following.open("wb")
        except OSError as error:
            self._failed = True
            log.warning("no_turns", extra={"reason": error.strerror})
        return self._files
