"""The workers of one host count together: one of them, the foreman, commits for all.

Each commit costs the database the same whatever it brings, and two that meet cost one of them
everything; so one committer with everybody's events does more than many with a share each.
Nothing depends on it: a worker that finds no foreman, or loses it, commits for itself.
"""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import gevent

from dmstats.commit.batch import Counted
from dmstats.commit.foreman import FLUSH_SECONDS, Foreman
from dmstats.commit.group_commit import COMMIT_SECONDS, Committer
from dmstats.commit.handover import PROTOCOL
from dmstats.commit.link import SILENCE_SECONDS, Link, Lost
from dmstats.commit.session_files import private
from dmstats.core.clock import Clock
from dmstats.core.records import LedgerRow

log = logging.getLogger(__name__)

AGAIN_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 2.0
GOODBYE_SECONDS = 0.5


class Crew:
    """Takes this worker's events to whoever commits; ``folder`` is shared by the host's workers.

    ``on_lead`` hears when this worker becomes the foreman, or is it no longer.
    """

    def __init__(
        self,
        committer: Committer,
        folder: Path,
        clock: Clock,
        on_lead: Callable[[bool], None],
        *,
        commit_seconds: float = COMMIT_SECONDS,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._committer = committer
        self._folder = folder
        self._clock = clock
        self._on_lead = on_lead
        self._commit_seconds = commit_seconds
        self._silence = silence
        self._path = folder / f"foreman-{PROTOCOL}.socket"
        self._foreman = Foreman(committer, self._path)
        self._lock: IO[bytes] | None = None
        self._link: Link | None = None
        self._membership: gevent.Greenlet | None = None
        self.leading = False

    @property
    def following(self) -> bool:
        """Whether there is a foreman, and it is another worker."""
        return self._link is not None

    def submit(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> Counted:
        """Count ``rows`` and wait until that is durable.

        Raises :class:`~dmstats.core.errors.Unavailable` when it is not known to be within the
        patience; the ledger makes it safe to send the same rows again.
        """
        seconds = self._commit_seconds
        if not rows and not rejected:
            return Counted()
        if self._link is not None:
            deadline = self._clock.monotonic() + seconds
            try:
                return self._link.ask(rows, rejected=rejected, seconds=seconds)
            except Lost:
                seconds = deadline - self._clock.monotonic()
        return self._committer.submit(rows, rejected=rejected, seconds=seconds)

    def start(self) -> None:
        """Find the foreman, or become it; events may come meanwhile."""
        self._committer.start()
        if self._membership is None:
            self._membership = gevent.spawn(self._belong)

    def stop(self, *, seconds: float) -> None:
        """Take nothing more, and end with everything counted within about ``seconds``."""
        if self._membership is not None:
            self._membership.kill()
        if self._link is not None:
            self._link.leave(seconds=seconds)
        self._foreman.say_goodbye()
        self._let_go()
        self._foreman.until_everything_is_here(seconds=GOODBYE_SECONDS)
        self._committer.stop(seconds=seconds)
        self._foreman.close(seconds=FLUSH_SECONDS)

    def _belong(self) -> None:
        """Be the foreman or know it, for as long as this worker lives."""
        pause = AGAIN_SECONDS
        while True:
            try:
                if self._is_first():
                    self._foreman.start()
                    self._set_leading(leading=True)
                    return
            except OSError as error:
                self._let_go()
                log.warning("no_foreman", extra={"reason": error.strerror or str(error)})
                return
            try:
                self._link = Link(self._path, silence=self._silence)
                pause = AGAIN_SECONDS
                self._link.until_over()
                self._link = None
            except OSError:
                gevent.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _is_first(self) -> bool:
        """Whether this worker holds the lock; the kernel gives it back when its holder dies."""
        if self._lock is None:
            private(self._folder)
            self._lock = (self._folder / f"foreman-{PROTOCOL}.lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _let_go(self) -> None:
        self._set_leading(leading=False)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _set_leading(self, *, leading: bool) -> None:
        if leading != self.leading:
            self.leading = leading
            self._on_lead(leading)
            log.info("foreman" if leading else "foreman_no_more")
