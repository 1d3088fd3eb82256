"""The DMs of a period of minutes, now and at the same time in earlier weeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pymongo

from dmstats.core.clock import HOUR_MS, MINUTE_MS, hour_start, to_datetime
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import HOURS
from dmstats.db.documents import EMPTY, Bucket, by_start, hour

READ_SECONDS = 3.0


class Baseline:
    """Reads counts by minute with the configured read preference."""

    def __init__(self, mongo: Mongo) -> None:
        self._hours = mongo.replica[HOURS]

    def dms(self, ends_ms: Sequence[int], minutes: int) -> list[int]:
        """The DMs in the ``minutes`` (at most 60) before each of ``ends_ms``, in one query.

        Only whole minutes: the minute that contains an end is excluded.
        """
        wanted = {hour for end in ends_ms for hour in (hour_start(end), hour_start(end) - HOUR_MS)}
        ids = [to_datetime(hour) for hour in sorted(wanted)]
        with translated(), pymongo.timeout(READ_SECONDS):
            documents = list(self._hours.find({"_id": {"$in": ids}}, {"minutes": True}))
        found = {start: hour(each).minutes for start, each in by_start(documents).items()}
        return [_sum(found, end, minutes) for end in ends_ms]


def _sum(hours: Mapping[int, Mapping[int, Bucket]], end_ms: int, minutes: int) -> int:
    total = 0
    last = end_ms - end_ms % MINUTE_MS
    for at in range(last - minutes * MINUTE_MS, last, MINUTE_MS):
        start = hour_start(at)
        sent, received = hours.get(start, {}).get((at - start) // MINUTE_MS, EMPTY)
        total += (sent or 0) + (received or 0)
    return total
