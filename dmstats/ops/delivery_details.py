"""Records deliveries with problems, and writes them periodically.

A successful delivery costs only a few comparisons. During a flood of failures, each worker keeps
the newest in memory and writes at most :data:`MAX_WRITTEN` of each group every few seconds.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError
from dmstats.core.records import CANARY_ACCOUNT, SIMULATED
from dmstats.db.delivery_store import (
    PARTIAL,
    REFUSED,
    SAMPLE,
    DeliveryRecord,
    DeliveryStore,
    EventName,
    RejectedEvent,
)
from dmstats.ingest.events import Note, Reading

logger = logging.getLogger(__name__)

MAX_WRITTEN = 100
MAX_NEW_NAMES = 50
SAMPLE_SECONDS = 30.0
MAX_REASON_LENGTH = 200
OK = 200


class DeliveryDetails:
    """One worker's deliveries of interest. :meth:`record` does no IO; :meth:`write` does."""

    def __init__(self, store: DeliveryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._groups: dict[str, deque[DeliveryRecord]] = {
            group: deque(maxlen=MAX_WRITTEN) for group in (REFUSED, PARTIAL)
        }
        self._groups[SAMPLE] = deque(maxlen=1)
        self._names: dict[tuple[str, bool], EventName] = {}
        self.sample_due = float("-inf")
        """The monotonic time after which the next successful delivery is recorded as a sample."""

    def record(
        self,
        environ: Mapping[str, Any],
        reading: Reading | None,
        *,
        status: int,
        reason: str,
        counts: Mapping[str, int],
        seconds: float,
    ) -> None:
        """Remember a delivery; ``reading`` is None if its body was not read, or not as a webhook's.

        ``counts`` are those that were answered.
        """
        group = REFUSED if status != OK else PARTIAL if counts.get("rejected") else SAMPLE
        if group == SAMPLE:
            self.sample_due = self._clock.monotonic() + SAMPLE_SECONDS
        size = str(environ.get("CONTENT_LENGTH") or "")
        notes = reading.notes if reading else []
        self._groups[group].append(
            DeliveryRecord(
                group=group,
                at=self._clock.now_ms(),
                status=status,
                reason=reason[:MAX_REASON_LENGTH],
                size=int(size) if size.isascii() and size.isdecimal() and len(size) < 16 else 0,
                entries=reading.entries if reading else 0,
                kinds=dict(Counter(row.kind for row in reading.rows)) if reading else {},
                counts=dict(counts),
                ms=round(seconds * 1000, 2),
                request_id=environ.get("dmstats.request_id", ""),
                rejected=tuple(
                    RejectedEvent(note.name, note.kind, note.account)
                    for note in notes
                    if not note.unknown
                ),
            )
        )

    def see(self, notes: list[Note]) -> None:
        """Remember the names of events that were not understood; not those of made-up traffic."""
        for note in notes:
            if note.account == CANARY_ACCOUNT or note.account.startswith(SIMULATED):
                continue
            now, key = self._clock.now_ms(), (note.name, note.unknown)
            before = self._names.get(key)
            if before is None and len(self._names) >= MAX_NEW_NAMES:
                continue
            keys = tuple(sorted({*note.keys, *(before.keys if before else ())}))
            first = before.first if before else now
            self._names[key] = EventName(note.name, note.unknown, first, now, keys)

    def write(self) -> None:
        """Store the deliveries recorded since the last call; they are lost if the database is
        unreachable."""
        records = [record for group in self._groups.values() for record in group]
        names = list(self._names.values())
        for group in self._groups.values():
            group.clear()
        self._names.clear()
        try:
            if records:
                self._store.add(records)
            if names:
                self._store.see(names)
        except DmstatsError as error:
            for name in names:  # unlike deliveries, a name may come only once
                self._names.setdefault((name.name, name.unknown), name)
            logger.info("delivery_details_not_stored", extra={"reason": error.reason})
