"""The global document and the hour and day buckets; changed only with ``$inc``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from dmstats.core.clock import to_datetime
from dmstats.core.records import Deltas
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import DAYS, HOURS, STATS_CACHE
from dmstats.db.counting.accounts import is_whole

log = logging.getLogger(__name__)


class Counters:
    """Adds deltas to ``dmstats_hours``, ``dmstats_days`` and ``stats_cache``."""

    def __init__(self, mongo: Mongo) -> None:
        self._hours = mongo.db[HOURS]
        self._days = mongo.db[DAYS]
        self._cache = mongo.db[STATS_CACHE]

    def add_buckets(self, deltas: Deltas, session: ClientSession | None) -> None:
        """One upsert per hour and per day."""
        with translated():
            for collection, writes in self._buckets(deltas):
                if writes:
                    collection.bulk_write(writes, session=session)

    def add_totals(self, deltas: Deltas, now_ms: int, session: ClientSession | None) -> None:
        """One upsert of the global document, which all committers share."""
        with translated():
            if writes := self.total_writes(deltas, now_ms):
                self._cache.bulk_write(writes, session=session)

    def bucket_writes(self, deltas: Deltas) -> list[UpdateOne]:
        """The upserts of :meth:`add_buckets`, each with its namespace."""
        return [write for _, writes in self._buckets(deltas) for write in writes]

    def total_writes(self, deltas: Deltas, now_ms: int) -> list[UpdateOne]:
        """The upsert of :meth:`add_totals` with its namespace; none if nothing is to be added."""
        if not (deltas.totals or deltas.canary_ms):
            return []
        latest = {"lastEventAt": deltas.last_event_ms, "canaryAt": deltas.canary_ms}
        if deltas.totals:
            latest["updatedAt"] = now_ms
        update: Document = {"$max": {name: to_datetime(ms) for name, ms in latest.items() if ms}}
        if deltas.totals:
            update["$inc"] = dict(deltas.totals)
        return [_upsert(self._cache, "global", update)]

    def _buckets(self, deltas: Deltas) -> list[tuple[Collection[Document], list[UpdateOne]]]:
        buckets = ((self._hours, deltas.hours), (self._days, deltas.days))
        return [(collection, _upserts(collection, each)) for collection, each in buckets]

    def reset_odd(self, deltas: Deltas) -> None:
        """Set counters to 0 that are not numbers, so that ``deltas`` can be added.

        Their value was already lost (a bad restore, a manual change). The audit finds the
        difference, and ``flask audit --repair`` adds it from the ledger.
        """
        targets: list[tuple[Collection[Document], Any, Mapping[str, int]]]
        targets = [(self._cache, "global", deltas.totals)]
        targets += [(self._hours, to_datetime(at), fields) for at, fields in deltas.hours.items()]
        targets += [(self._days, to_datetime(at), fields) for at, fields in deltas.days.items()]
        with translated():
            for collection, key, fields in targets:
                found = collection.find_one({"_id": key})
                odd = odd_counters(found, fields) if found else ()
                if odd:
                    log.warning("counter_reset", extra={"document": str(key), "fields": odd})
                    fresh: Document = {path: 0 if path in fields else {} for path in odd}
                    collection.update_one({"_id": key}, {"$set": fresh})


def odd_counters(document: Mapping[str, Any], fields: Iterable[str]) -> list[str]:
    """The paths in ``document`` that prevent incrementing the dotted ``fields``: the counter
    itself, or a value on its path that is not an embedded document."""
    odd = []
    for field in fields:
        value: Any = document
        names = field.split(".")
        for depth, name in enumerate(names, start=1):
            if name not in value:
                break
            value = value[name]
            leaf = depth == len(names)
            fits = is_whole(value) if leaf else isinstance(value, dict)
            if not fits:
                odd.append(".".join(names[:depth]))
                break
            if leaf:
                break
    return sorted(set(odd))


def _upserts(
    collection: Collection[Document], buckets: Mapping[int, Mapping[str, int]]
) -> list[UpdateOne]:
    return [
        _upsert(collection, to_datetime(start), {"$inc": dict(fields)})
        for start, fields in sorted(buckets.items())
    ]


def _upsert(collection: Collection[Document], key: object, update: Document) -> UpdateOne:
    return UpdateOne({"_id": key}, update, upsert=True, namespace=collection.full_name)
