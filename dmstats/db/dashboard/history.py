"""Reads the stored hours and days from which a history is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import pymongo
from pymongo.collection import Collection

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime
from dmstats.db import documents, typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import DAYS, HOURS

READ_SECONDS = 8.0
IDS = 100
"""Ids per query. A list of ids, not a range: the embedded database scans the collection for a
range, and its time grows faster than the number of ids."""

COUNTS = {"sent": 1, "received": 1}
MINUTE_MS = 60_000

Counts = tuple[int, int]
"""DMs sent and received."""


class HistoryStore:
    """Reads by ``_id`` with the configured read preference, within :data:`READ_SECONDS`."""

    def __init__(self, mongo: Mongo) -> None:
        self._days = mongo.replica[DAYS]
        self._hours = mongo.replica[HOURS]

    def first_ms(self) -> int | None:
        """The start of the first counted hour; None before the first DM. Raises
        :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(READ_SECONDS):
            dates = {"_id": {"$type": "date"}}
            first = self._days.find_one(dates, {"_id": 1}, sort=[("_id", 1)]) or {}
            day = typed.own_moment(first.get("_id"))
            if day is None:
                return None
            hours = [to_datetime(day + i * HOUR_MS) for i in range(DAY_MS // HOUR_MS)]
            found = list(self._hours.find({"_id": {"$in": hours}}, {"_id": 1}))
        return min(documents.by_start(found), default=day)

    def read(
        self, days: Iterable[int], hours: Iterable[int], minutes: Iterable[int]
    ) -> tuple[dict[int, Counts], dict[int, Counts], dict[int, Counts]]:
        """The counts of these days and hours, and of each minute of the hours in ``minutes``, all
        by start in ms. Raises :class:`StoreUnavailable`."""
        with translated(), pymongo.timeout(READ_SECONDS):
            of_hours = dict(self._each(self._hours, hours, COUNTS, _own))
            of_the_minutes = dict(self._each(self._hours, minutes, {"minutes": 1}, of_minutes))
            # Last: a day from which hours are subtracted has them all.
            of_days = dict(self._each(self._days, days, COUNTS, _own))
        return of_days, of_hours, of_the_minutes

    @staticmethod
    def _each(
        collection: Collection[Document],
        starts_ms: Iterable[int],
        fields: Mapping[str, int],
        counts: Callable[[int, Document], Iterable[tuple[int, Counts]]],
    ) -> Iterator[tuple[int, Counts]]:
        starts = iter(sorted(starts_ms))
        while ids := [to_datetime(start) for start in islice(starts, IDS)]:
            found = list(collection.find({"_id": {"$in": ids}}, fields))
            for start, bucket in documents.by_start(found).items():
                yield from counts(start, bucket)


def of_minutes(start: int, hour: Document) -> Iterator[tuple[int, Counts]]:
    """The counts by minute in an hour's document; ``start`` is the hour's."""
    for minute, counts in documents.hour(hour).minutes.items():
        yield start + minute * MINUTE_MS, pair(counts)


def pair(bucket: documents.Bucket) -> Counts:
    """Sent and received; unreadable counts are 0."""
    return bucket[0] or 0, bucket[1] or 0


def _own(start: int, bucket: Document) -> Iterator[tuple[int, Counts]]:
    yield start, pair(documents.bucket(bucket))
