"""The stored hours and days that a history is added up from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from math import isfinite

import pymongo
from pymongo.collection import Collection

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime, to_ms
from dmstats.db.client import Document, Mongo, translated

READ_SECONDS = 8.0
IDS = 100
"""Ids in one query. Listed ids, not a range: the embedded database scans the collection for a
range, and takes longer than twice as long for twice as many ids."""

COUNTS = {"sent": 1, "received": 1}
MINUTE_MS = 60_000

Counts = tuple[int, int]
"""DMs sent and received."""


class HistoryReads:
    """Reads under the configured read preference, by ``_id``, within :data:`READ_SECONDS`."""

    def __init__(self, mongo: Mongo) -> None:
        self._days = mongo.replica["stats_days"]
        self._hours = mongo.replica["stats_hours"]

    def first_ms(self) -> int | None:
        """The first hour that was counted; None before the first DM. Raises
        :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(READ_SECONDS):
            first = self._days.find_one({}, {"_id": 1}, sort=[("_id", 1)])
            if first is None:
                return None
            day = to_ms(first["_id"])
            hours = [to_datetime(day + i * HOUR_MS) for i in range(DAY_MS // HOUR_MS)]
            found = [hour["_id"] for hour in self._hours.find({"_id": {"$in": hours}}, {"_id": 1})]
        return min((to_ms(hour) for hour in found), default=day)

    def read(
        self, days: Iterable[int], hours: Iterable[int], minutes: Iterable[int]
    ) -> tuple[dict[int, Counts], dict[int, Counts], dict[int, Counts]]:
        """The counts of those days and hours, and of each minute of the hours in ``minutes``, all
        by start in ms; raises :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(READ_SECONDS):
            return (
                dict(self._each(self._days, days, COUNTS, _own)),
                dict(self._each(self._hours, hours, COUNTS, _own)),
                dict(self._each(self._hours, minutes, {"minutes": 1}, of_minutes)),
            )

    @staticmethod
    def _each(
        collection: Collection[Document],
        starts_ms: Iterable[int],
        fields: Mapping[str, int],
        counts: Callable[[Document], Iterable[tuple[int, Counts]]],
    ) -> Iterator[tuple[int, Counts]]:
        starts = iter(sorted(starts_ms))
        while ids := [to_datetime(start) for start in islice(starts, IDS)]:
            for found in collection.find({"_id": {"$in": ids}}, fields):
                yield from counts(found)


def of_minutes(hour: Document) -> Iterator[tuple[int, Counts]]:
    """The minutes of an hour's document that have counts."""
    start = to_ms(hour["_id"])
    minutes = hour.get("minutes")
    for minute, counts in minutes.items() if isinstance(minutes, Mapping) else ():
        if minute.isdecimal() and isinstance(counts, Mapping):
            yield start + int(minute) * MINUTE_MS, pair(counts)


def pair(bucket: Mapping[str, object]) -> Counts:
    """Sent and received; what is missing or no number counts as none."""
    return _whole(bucket.get("sent")), _whole(bucket.get("received"))


def _own(bucket: Document) -> Iterator[tuple[int, Counts]]:
    yield to_ms(bucket["_id"]), pair(bucket)


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) and isfinite(value) else 0
