"""From a webhook body to ledger rows; pure.

What each event counts as, and what makes two deliveries the same event, follows Meta's public
documentation and implementers' reports; docs/webhook.md has the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime
from dmstats.core.records import CANARY, CANARY_ACCOUNT, OTHER_PARTITION, LedgerRow
from dmstats.ingest.identity import Unreadable, digest_of, identify, normalise_time
from dmstats.ingest.payload import Entry, Item, Loose, Scalar, decode, decode_loosely

FUTURE_TOLERANCE_MS = HOUR_MS
"""How far a sender's clock may be ahead of ours before its time is not believed."""

OLDEST_BELIEVED_MS = 366 * DAY_MS
"""An event that claims to be older is counted by its arrival."""

MAX_ID_LENGTH = 64
TEST_FIELD = "messages"
"""The dashboard's test button sends a change of this field; real messages come by ``messaging``."""

NO_HOUR = bytes(4)
"""Stands before the digest in the partition ``other``, where the hour is not to be trusted."""

_ACCOUNT = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_ID_LENGTH}}}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COMMON_KEYS = frozenset({"sender", "recipient", "timestamp"})


class Reading(msgspec.Struct):
    """What one body holds: rows to count, and how many entries are ignored or unreadable."""

    rows: list[LedgerRow]
    ignored: int = 0
    rejected: int = 0

    @property
    def is_canary(self) -> bool:
        """Whether the service's own test event is all there is."""
        return bool(self.rows) and all(row.kind == CANARY for row in self.rows)


def read_events(body: bytes, *, arrived_ms: int, max_age_ms: int) -> Reading:
    """Read every event out of a POST's raw ``body``.

    ``max_age_ms`` is how old an event may be to have its row in its own day's partition; an older
    one is late. Raises :class:`~dmstats.core.errors.BadRequest` for what is not JSON or not ours.
    """
    reader = _Reader(arrived_ms, max_age_ms)
    entries = decode(body)
    if entries is not None:
        reader.read(entries)
    else:
        for entry in decode_loosely(body):
            reader.read_loosely(entry)
    return reader.reading


class _Reader:
    def __init__(self, arrived_ms: int, max_age_ms: int) -> None:
        self.reading = Reading(rows=[])
        self._arrived_ms = arrived_ms
        self._oldest_ms = arrived_ms - max_age_ms
        self._newest_ms = arrived_ms + FUTURE_TOLERANCE_MS

    def read(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            account = str(entry.id)
            self.reading.ignored += len(entry.standby)
            for item in entry.messaging:
                self._item(account, entry.time, item, None)

    def read_loosely(self, entry: Loose | None) -> None:
        if entry is None:
            self.reading.rejected += 1
            return
        self.reading.ignored += entry.standby
        for item, raw in entry.items:
            if item is None:
                self.reading.rejected += 1
            else:
                self._item(entry.id, entry.time, item, raw)
        for change in entry.changes:
            self._change(entry, change)
        if not (entry.items or entry.changes or entry.standby):
            for name in entry.strange:
                self._unknown(entry.id, name, normalise_time(entry.time), name)

    def _item(self, account: str, entry_time: Scalar, item: Item, raw: Any) -> None:
        time_ms = normalise_time(item.timestamp) or normalise_time(entry_time)
        if item.message is not None and item.message.is_self:
            self.reading.ignored += 1
        elif item.known():
            try:
                kind, parts = identify(item)
            except Unreadable:
                self.reading.rejected += 1
            else:
                self._add(account, kind, parts, time_ms)
        elif isinstance(raw, dict) and (names := sorted(raw.keys() - _COMMON_KEYS)):
            self._unknown(account, names[0], time_ms, raw)
        else:
            self.reading.rejected += 1

    def _change(self, entry: Loose, change: Any) -> None:
        field = change.get("field") if isinstance(change, dict) else None
        if not isinstance(field, str):
            self.reading.rejected += 1
        elif field == TEST_FIELD:
            self.reading.ignored += 1
        else:
            self._unknown(entry.id, field, normalise_time(entry.time), change)

    def _unknown(self, account: str, name: str, time_ms: int | None, raw: Any) -> None:
        parts = ("unknown", account, str(time_ms), json.dumps(raw, sort_keys=True))
        name = name if _NAME.fullmatch(name) else "unnamed"
        self._add(account, "unknown", parts, time_ms, name)

    def _add(
        self, account: str, kind: str, parts: Sequence[str], told_ms: int | None, name: str = ""
    ) -> None:
        if not _is_account(account):
            self.reading.rejected += 1
            return
        if account == CANARY_ACCOUNT:
            kind, parts = CANARY, (CANARY, *parts)
        self.reading.rows.append(self._row(account, kind, digest_of(parts), told_ms, name))

    def _row(
        self, account: str, kind: str, digest: bytes, told_ms: int | None, name: str
    ) -> LedgerRow:
        other = (OTHER_PARTITION, NO_HOUR + digest)
        if told_ms is None or told_ms > self._newest_ms:
            time_ms, late = self._arrived_ms, True
        else:
            believed = told_ms >= self._arrived_ms - OLDEST_BELIEVED_MS
            time_ms, late = (told_ms if believed else self._arrived_ms), told_ms < self._oldest_ms
        dated = None if told_ms is None else _dated(told_ms, digest)
        here, alternate_id = (other, dated) if late or dated is None else (dated, other)
        return LedgerRow(
            here[1], here[0], account, kind, time_ms, self._arrived_ms, late, name, alternate_id
        )


def _dated(time_ms: int, digest: bytes) -> tuple[str, bytes]:
    partition, prefix = _hour(time_ms // HOUR_MS)
    return partition, prefix + digest


@lru_cache(maxsize=4096)
def _is_account(account: str) -> bool:
    return _ACCOUNT.fullmatch(account) is not None


@lru_cache(maxsize=1024)
def _hour(hour: int) -> tuple[str, bytes]:
    return to_datetime(hour * HOUR_MS).strftime("%Y%m%d"), hour.to_bytes(4, "big")
