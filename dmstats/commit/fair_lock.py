"""A lock between the committers of one host, so that their transactions rarely conflict.

Under load, two committers would conflict on the global document every time, and one of them would
have to repeat its work. Exactness does not depend on the lock. A committer that waits too long
proceeds without it, and the database detects any write conflict.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import gevent

from dmstats.commit.session_files import ensure_private
from dmstats.core.clock import Clock

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""Longer than a commit normally takes. After this the holder is stopped, or the database hangs."""
NO_WAIT_SECONDS = 10.0
"""How long after a timed-out wait the lock is only tried, not waited for. A stopped holder does not
resume soon, and the locks it left in the database show up as conflicts."""
LOCK_POLL_SECONDS = 0.001
"""How often the next in line, of which there is one, tries the lock."""
QUEUE_POLL_SECONDS = 0.003
"""How often all others try the queue. If three workers polled every millisecond, commits would take
a tenth longer on two cores."""


class FairFileLock:
    """Two locked files in ``folder``: one is the lock, the other a queue of length one.

    A process must hold the queue file before it may take the lock, so no process takes the lock
    twice while another waits. The kernel releases both when the holder dies. Only one greenlet of
    the process may use this object.
    """

    def __init__(self, folder: Path, clock: Clock, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._folder = folder
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._files: tuple[IO[bytes], IO[bytes]] | None = None
        self._failed = False
        self._no_wait_until = float("-inf")

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait up to ``wait_seconds`` for the lock and hold it inside the context."""
        files = self._held_open() or self._open()
        if files is None:
            yield
            return
        lock, queue = files
        started = self._clock.monotonic()
        deadline = started if started < self._no_wait_until else started + self._wait_seconds
        try:
            acquired = False
            if self._wait(queue, deadline, QUEUE_POLL_SECONDS):
                try:
                    acquired = self._wait(lock, deadline, LOCK_POLL_SECONDS)
                finally:
                    fcntl.flock(queue, fcntl.LOCK_UN)
            if not acquired and deadline > started:
                self._no_wait_until = self._clock.monotonic() + NO_WAIT_SECONDS
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the lock and the queue, as the end of the process does."""
        for file in self._files or ():
            file.close()
        self._files = None

    def _wait(self, file: IO[bytes], deadline: float, poll_seconds: float) -> bool:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    return False
                gevent.sleep(poll_seconds)
            else:
                return True

    def _held_open(self) -> tuple[IO[bytes], IO[bytes]] | None:
        """The open files; None if something deleted them, since others would lock new ones."""
        if self._files is not None:
            try:
                same = all(
                    os.path.samestat(os.fstat(file.fileno()), Path(file.name).stat())
                    for file in self._files
                )
            except OSError:
                same = False
            if not same:
                self.close()
        return self._files

    def _open(self) -> tuple[IO[bytes], IO[bytes]] | None:
        if self._failed:
            return None
        lock, queue = (self._folder / name for name in ("commit.lock", "commit.queue"))
        try:
            ensure_private(self._folder)
            # Kept open until exit. Not opened before the fork: forked processes share a flock.
            self._files = lock.open("wb"), queue.open("wb")
        except OSError as error:
            self._failed = True
            log.warning("fair_lock_unavailable", extra={"reason": error.strerror})
        return self._files
