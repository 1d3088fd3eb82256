"""From a webhook body to ledger rows; pure.

What each event counts as, and what makes two deliveries the same event, follows Meta's public
documentation and implementers' reports; docs/webhook.md has the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime
from dmstats.core.records import CANARY, CANARY_ACCOUNT, OTHER_PARTITION, LedgerRow
from dmstats.ingest.identity import Unreadable, digest_of, identify, normalise_time
from dmstats.ingest.payload import (
    PARTS,
    Entry,
    ForeignBody,
    Item,
    LooseEntry,
    Scalar,
    content_of,
    decode,
    decode_loosely,
)

FUTURE_TOLERANCE_MS = HOUR_MS
"""How far an event's timestamp may be ahead of our clock before the arrival time is used."""

MAX_CREDIBLE_AGE_MS = 366 * DAY_MS
"""An event with an older timestamp is counted at its arrival time."""

MAX_ID_LENGTH = 64
TEST_FIELD = "messages"
"""The test button in Meta's app dashboard sends a change of this field. Real messages arrive in
``messaging``."""

NO_HOUR = bytes(4)
"""Replaces the hour in row ids of the partition ``other``, where the hour cannot be trusted."""

_ACCOUNT = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_ID_LENGTH}}}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_PERSONS = frozenset({"sender", "recipient"})
_COMMON_KEYS = _PERSONS | {"timestamp"}


MAX_NOTES = 10
MAX_KEYS = 20


class Note(msgspec.Struct, frozen=True):
    """An event that was not understood, without any value of it except the account.

    ``unknown`` events are counted, others were rejected. ``name`` is that of the unknown event, or
    the path of the field that is missing or unreadable. ``keys`` are the names of its fields.
    """

    name: str
    kind: str
    account: str
    keys: tuple[str, ...] = ()
    unknown: bool = False


class Reading(msgspec.Struct):
    """The contents of one body: rows to count, and the numbers of ignored and unreadable entries.

    ``foreign`` counts the entries of other objects than Instagram, by object. They are included in
    ``ignored``. ``notes`` describe the first :data:`MAX_NOTES` events that were not understood.
    """

    rows: list[LedgerRow]
    entries: int = 0
    ignored: int = 0
    rejected: int = 0
    foreign: Counter[str] = msgspec.field(default_factory=Counter)
    notes: list[Note] = []

    @property
    def is_canary(self) -> bool:
        """Whether the body contains only the service's own test event."""
        return bool(self.rows) and all(row.kind == CANARY for row in self.rows)


def read_events(body: bytes, *, arrived_ms: int, max_age_ms: int) -> Reading:
    """Read every event in a POST's raw ``body``.

    An event older than ``max_age_ms`` is late: its row goes to the partition ``other`` instead of
    its own day's. Raises :class:`~dmstats.core.errors.BadRequest` if this is not a webhook body.
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
        self.reading.entries = len(entries)
        for entry in entries:
            account = str(entry.id)
            self.reading.ignored += len(entry.standby)
            for item in entry.messaging:
                self._item(account, entry.time, item, None)

    def read_loosely(self, entry: LooseEntry | ForeignBody | None) -> None:
        self.reading.entries += 1
        if entry is None:
            self._reject("entry[].id", "entry")
            return
        if isinstance(entry, ForeignBody):
            entries = max(1, entry.entries)
            self.reading.ignored += entries
            self.reading.foreign[entry.object] += entries
            return
        self.reading.ignored += entry.standby
        if entry.rejected:
            self._reject("entry[].messaging", "entry", entry.id)
        for item, raw in entry.items:
            if item is None:
                self._reject("entry[].messaging[]", "item", entry.id)
            else:
                self._item(entry.id, entry.time, item, raw)
        for change in entry.changes:
            self._change(entry, change)
        if not (entry.items or entry.changes or entry.standby):
            for name, value in entry.unknown_fields:
                self._unknown(entry.id, name, None, entry.time, value)

    def _item(self, account: str, entry_time: Scalar, item: Item, raw: Any) -> None:
        if item.message is not None and item.message.is_self:
            self.reading.ignored += 1
            return
        own_ms = normalise_time(item.timestamp)
        try:
            kind, parts = identify(account, item, own_ms)
        except Unreadable:
            if isinstance(raw, dict) and (names := sorted(raw.keys() - _COMMON_KEYS - set(PARTS))):
                content = {name: raw[name] for name in raw.keys() - _PERSONS}
                self._unknown(account, names[0], own_ms, entry_time, content)
            else:
                self._reject(*_missing(raw), account, raw)
        else:
            self._add(account, kind, parts, own_ms, entry_time)

    def _change(self, entry: LooseEntry, change: Any) -> None:
        field = change.get("field") if isinstance(change, dict) else None
        if not isinstance(field, str):
            self._reject("entry[].changes[].field", "change", entry.id, change)
        elif field == TEST_FIELD:
            self.reading.ignored += 1
        else:
            self._unknown(entry.id, field, None, entry.time, change)

    def _unknown(
        self, account: str, name: str, own_ms: int | None, entry_time: Scalar, content: Any
    ) -> None:
        try:
            name.encode()  # a lone surrogate is not a valid name
            parts = ("unknown", account, str(own_ms), content_of(content))
        except ValueError:
            self._reject("entry[].changes[].value", "unknown", account)
            return
        name = name if _NAME.fullmatch(name) else "unnamed"
        self._note(Note(name, "unknown", account, _keys(_inner(content, name)), unknown=True))
        self._add(account, "unknown", parts, own_ms, entry_time, name)

    def _add(
        self,
        account: str,
        kind: str,
        parts: Sequence[str],
        own_ms: int | None,
        entry_time: Scalar,
        name: str = "",
    ) -> None:
        if not _is_account(account):
            self._reject("entry[].id", kind)
            return
        if account == CANARY_ACCOUNT:
            kind, parts = CANARY, (CANARY, *parts)
        digest = digest_of(parts)
        if own_ms is not None:
            row = self._row(account, kind, digest, own_ms, name)
        else:
            row = self._timeless(account, kind, digest, normalise_time(entry_time), name)
        self.reading.rows.append(row)

    def _reject(self, path: str, kind: str, account: str = "", content: Any = None) -> None:
        self.reading.rejected += 1
        self._note(Note(path, kind, account, _keys(content)))

    def _note(self, note: Note) -> None:
        if len(self.reading.notes) < MAX_NOTES:
            known = note.account if _is_account(note.account) else ""
            self.reading.notes.append(msgspec.structs.replace(note, account=known))

    def _row(self, account: str, kind: str, digest: bytes, event_ms: int, name: str) -> LedgerRow:
        other = (OTHER_PARTITION, NO_HOUR + digest)
        time_ms = event_ms if self._is_credible(event_ms) else self._arrived_ms
        late = event_ms > self._newest_ms or event_ms < self._oldest_ms
        dated = dated_id(event_ms, digest)
        primary, alternate_id = (other, dated) if late else (dated, other)
        return LedgerRow(
            primary[1],
            primary[0],
            account,
            kind,
            time_ms,
            self._arrived_ms,
            late,
            name,
            alternate_id,
        )

    def _timeless(
        self, account: str, kind: str, digest: bytes, event_ms: int | None, name: str
    ) -> LedgerRow:
        """An event without its own timestamp. It is counted at the entry's time. A retry may carry
        another entry time, so the time is not part of the row id."""
        believed = event_ms is not None and self._is_credible(event_ms)
        time_ms = event_ms if believed and event_ms is not None else self._arrived_ms
        return LedgerRow(
            NO_HOUR + digest,
            OTHER_PARTITION,
            account,
            kind,
            time_ms,
            self._arrived_ms,
            late=True,
            name=name,
            # Where an earlier version of dmstats stored it.
            alternate_id=None if event_ms is None else dated_id(event_ms, digest),
        )

    def _is_credible(self, event_ms: int) -> bool:
        return self._arrived_ms - MAX_CREDIBLE_AGE_MS <= event_ms <= self._newest_ms


def _missing(raw: Any) -> tuple[str, str]:
    """The path that would have identified an item, and the item's kind."""
    found = raw if isinstance(raw, dict) else {}
    part = next((name for name in PARTS if name in found), None)
    if part is None:
        return "entry[].messaging[]", "item"
    if part == "message":
        return "entry[].messaging[].message.mid", part
    if not isinstance(found[part], dict):
        return f"entry[].messaging[].{part}", part
    return "entry[].messaging[].timestamp", part


def _inner(content: Any, name: str) -> Any:
    """What the event consists of: the value of a change, or the object under its own name."""
    if isinstance(content, dict):
        for key in (name, "value"):
            if isinstance(content.get(key), dict):
                return content[key]
    return content


def _keys(content: Any) -> tuple[str, ...]:
    """The names of fields; others, such as ids used as keys, are left out."""
    if not isinstance(content, dict):
        return ()
    named = sorted(key for key in content if isinstance(key, str) and _NAME.fullmatch(key))
    return tuple(named[:MAX_KEYS])


def dated_id(time_ms: int, digest: bytes) -> tuple[str, bytes]:
    """The partition and the row id of an event at ``time_ms`` that is not late."""
    partition, prefix = _hour(time_ms // HOUR_MS)
    return partition, prefix + digest


@lru_cache(maxsize=4096)
def _is_account(account: str) -> bool:
    return _ACCOUNT.fullmatch(account) is not None


@lru_cache(maxsize=1024)
def _hour(hour: int) -> tuple[str, bytes]:
    return to_datetime(hour * HOUR_MS).strftime("%Y%m%d"), hour.to_bytes(4, "big")
