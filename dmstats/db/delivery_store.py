"""The newest deliveries that were not counted as a whole, and the names of events that were not
understood: ``dmstats_deliveries`` and ``dmstats_event_names``. Neither has a text or a person's id.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import msgspec
import pymongo

from dmstats.core.clock import EpochMs, to_datetime
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import DELIVERIES, EVENT_NAMES

REFUSED, PARTIAL, SAMPLE = "refused", "partial", "sample"
KEPT = {REFUSED: 1000, PARTIAL: 1000, SAMPLE: 100}
"""How many of each group; a flood of one does not displace the others."""
MAX_NAMES = 500
MAX_KEYS = 50
SECONDS = 3.0
ID_DIGITS = 13


class RejectedEvent(msgspec.Struct, frozen=True):
    """``path`` is that of the field that was not understood; ``account`` is empty if unknown."""

    path: str
    kind: str
    account: str


class DeliveryRecord(msgspec.Struct, frozen=True):
    """One delivery. ``at`` is in ms since the epoch, ``size`` in bytes; ``kinds`` are numbers of
    events by kind, ``counts`` is what was answered."""

    group: str
    at: EpochMs
    status: int
    reason: str
    size: int
    entries: int
    kinds: dict[str, int]
    counts: dict[str, int]
    ms: float
    request_id: str
    rejected: tuple[RejectedEvent, ...] = ()


class EventName(msgspec.Struct, frozen=True):
    """A name of events that are not understood: that of an ``unknown`` event (which is counted), or
    the path because of which others are rejected. ``first`` and ``last`` are in ms."""

    name: str
    unknown: bool
    first: EpochMs
    last: EpochMs
    keys: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The ``_id`` of its document."""
        return f"{'unknown' if self.unknown else 'rejected'}:{self.name}"


class DeliveryStore:
    """Every method may raise :class:`~dmstats.core.errors.DmstatsError`."""

    def __init__(self, mongo: Mongo) -> None:
        self._deliveries = mongo.db[DELIVERIES]
        self._names = mongo.db[EVENT_NAMES]

    def add(self, records: Sequence[DeliveryRecord]) -> None:
        """Add ``records``, and delete the oldest beyond :data:`KEPT` of their groups."""
        documents = [
            {"_id": f"{record.group}-{record.at:0{ID_DIGITS}d}-{secrets.token_hex(4)}",
             **msgspec.to_builtins(record), "at": to_datetime(record.at)}
            for record in records
        ]  # fmt: skip
        with translated(), deadline(SECONDS):
            self._deliveries.insert_many(documents, ordered=False)
            for group in {record.group for record in records}:
                self._prune(group)

    def _prune(self, group: str) -> None:
        wanted = _of(group)
        found = self._deliveries.find(wanted, {"_id": True}).sort("_id", pymongo.DESCENDING)
        for oldest in found.skip(KEPT[group]).limit(1):
            # Within the group: "<group>-" begins its ids.
            span = {"$gte": wanted["_id"]["$gte"], "$lte": oldest["_id"]}
            self._deliveries.delete_many({"_id": span})

    def newest(self, group: str, limit: int) -> list[DeliveryRecord]:
        """The newest of a group, newest first."""
        with translated(), deadline(SECONDS):
            cursor = self._deliveries.find(_of(group)).sort("_id", pymongo.DESCENDING)
            found = list(cursor.limit(limit))
        return [record for record in map(_record, found) if record is not None]

    def see(self, names: Iterable[EventName]) -> None:
        """Extend the first and last times and the keys of ``names``; at most :data:`MAX_NAMES` are
        kept."""
        with translated(), deadline(SECONDS):
            wanted = {name.id: name for name in names}
            known = {each["_id"]: each for each in
                     self._names.find({"_id": {"$in": list(wanted)}}, {"keys": True})}  # fmt: skip
            free = MAX_NAMES - self._names.count_documents({}, limit=MAX_NAMES)
            for key, name in wanted.items():
                if key not in known:
                    free -= 1
                if key in known or free >= 0:
                    update = _seen(name, known.get(key))
                    self._names.update_one({"_id": key}, update, upsert=True)

    def names(self, *, unreported: bool = False) -> list[EventName]:
        """All names, those that came last first; or those that no incident has reported yet."""
        wanted: Document = {"reported": {"$exists": False}} if unreported else {}
        with translated(), deadline(SECONDS):
            found = list(self._names.find(wanted).sort("last", pymongo.DESCENDING))
        return [name for name in map(_name, found) if name is not None]

    def mark_reported(self, name: EventName, now_ms: int) -> None:
        """Remember that an incident has reported ``name``."""
        with translated(), deadline(SECONDS):
            reported = {"$set": {"reported": to_datetime(now_ms)}}
            self._names.update_one({"_id": name.id}, reported)


def _of(group: str) -> Document:
    return {"_id": {"$gte": f"{group}-", "$lt": f"{group}."}}  # "." follows "-"


def _seen(name: EventName, known: Document | None) -> Document:
    kept = (known or {}).get("keys")
    free = max(0, MAX_KEYS - len(kept)) if isinstance(kept, list) else MAX_KEYS
    new = [key for key in name.keys if not isinstance(kept, list) or key not in kept]
    return {
        "$min": {"first": to_datetime(name.first)},
        "$max": {"last": to_datetime(name.last)},
        "$addToSet": {"keys": {"$each": new[:free]}},
        "$set": {"name": name.name, "unknown": name.unknown},
    }


def _record(found: Document) -> DeliveryRecord | None:
    fields = typed.document(typed.json_ready(found)) | {"at": typed.moment(found.get("at"))}
    try:
        return msgspec.convert(fields, DeliveryRecord)
    except msgspec.ValidationError:
        return None


def _name(found: Document) -> EventName | None:
    moments = {name: typed.moment(found.get(name)) for name in ("first", "last")}
    try:
        return msgspec.convert(typed.document(typed.json_ready(found)) | moments, EventName)
    except msgspec.ValidationError:
        return None
