"""Looks in the ledger for the echoes of DMs that the platform reported as sent.

A row's id contains the hour of Meta's timestamp, which the platform does not know: the hour in
which it sent the DM is tried first, then the adjacent hours and the partition of late events.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from dmstats.core.clock import HOUR_MS, MINUTE_MS, Clock, ClockWatch
from dmstats.core.records import OTHER_PARTITION
from dmstats.db.counting.ledger import batched
from dmstats.db.send_store import Send, SendStore, State, Verdict
from dmstats.ingest.events import NO_HOUR, dated_id

WITHIN_MS = 10 * MINUTE_MS
"""An echo that arrives later is late; until it does, the DM is lost."""
LOOKED_FOR_MS = 48 * HOUR_MS
"""Meta retries a delivery for 36 hours; the ledger keeps rows for longer."""
BATCH = 200
"""DMs per transaction; see ``ledger.SLICE``."""
READ = 10 * BATCH
"""DMs that are read at once: the SecantusDB servers read all that are due, whatever the limit."""
TICK_SECONDS = 5.0
UNUSED_SECONDS = 60.0
"""How often an installation without reported DMs checks for the first one."""


class EchoCheck:
    """The leader's job. Costs one query per tick while nothing is due, one a minute before the
    first use. A wall clock that is set forward settles nothing too early: ``clock_watch``."""

    def __init__(
        self, store: SendStore, clock: Clock, clock_watch: ClockWatch | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._clock_watch = clock_watch or ClockWatch(clock)
        self._over = threading.Event()
        self._used = False
        self._next = float("-inf")

    def stop(self) -> None:
        """End a running tick after its present batch."""
        self._over.set()

    def tick(self) -> int:
        """Settle all that are due, for at most :data:`TICK_SECONDS`; returns how many."""
        started, settled = self._clock.monotonic(), 0
        if started < self._next:
            return 0
        is_left = True
        while is_left and not self._over.is_set():
            now_ms = self._clock_watch.conservative_now_ms()
            due = self._store.due(now_ms, READ)
            self._used = self._used or bool(due)
            is_left = len(due) == READ
            for some in batched(due, BATCH):
                self._settle(some, now_ms)
                settled += len(some)
                if self._over.is_set() or self._clock.monotonic() - started > TICK_SECONDS:
                    is_left = False
                    break
        self._next = started if self._used else started + UNUSED_SECONDS
        return settled

    def _settle(self, due: list[Send], now_ms: int) -> None:
        arrived = self._arrivals(due, _likely)
        missing = [send for send in due if send.digest not in arrived]
        arrived |= self._arrivals(missing, _other)
        self._store.settle(
            {send.digest: verdict(send, arrived.get(send.digest), now_ms) for send in due}
        )

    def _arrivals(
        self, sends: Iterable[Send], places: Callable[[Send], Iterator[tuple[str, bytes]]]
    ) -> dict[bytes, int]:
        """When the echoes arrived (ms), by digest."""
        ids: dict[str, list[bytes]] = defaultdict(list)
        for send in sends:
            for partition, row_id in places(send):
                ids[partition].append(row_id)
        found = self._store.arrivals(ids)
        return {row_id[len(NO_HOUR) :]: arrived_ms for row_id, arrived_ms in found.items()}


def verdict(send: Send, arrived_ms: int | None, now_ms: int) -> Verdict:
    """What is known of ``send`` now; ``arrived_ms`` is when its echo came, None if it has not.

    The pauses between two looks grow with the DM's age, by half of it.
    """
    if arrived_ms is not None:
        in_time = arrived_ms - send.at_ms <= WITHIN_MS
        return Verdict(State.ECHOED if in_time else State.LATE, None)
    age_ms = now_ms - send.at_ms
    if age_ms >= LOOKED_FOR_MS:
        return Verdict(State.LOST, None)
    pause_ms = max(WITHIN_MS, age_ms // 2)
    return Verdict(State.LOST, min(now_ms + pause_ms, send.at_ms + LOOKED_FOR_MS))


def _likely(send: Send) -> Iterator[tuple[str, bytes]]:
    """The partition and id of its row, as a rule."""
    yield dated_id(send.at_ms, send.digest)


def _other(send: Send) -> Iterator[tuple[str, bytes]]:
    """Where else its row may be."""
    yield dated_id(send.at_ms - HOUR_MS, send.digest)
    yield dated_id(send.at_ms + HOUR_MS, send.digest)
    yield OTHER_PARTITION, NO_HOUR + send.digest
