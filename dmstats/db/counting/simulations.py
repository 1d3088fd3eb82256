"""What `dmstats simulate` was told of its duplicates: they have no rows, so they are noted."""

from __future__ import annotations

from dmstats.core.clock import to_datetime
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import SIMULATIONS


class Simulations:
    """One document a run."""

    def __init__(self, mongo: Mongo) -> None:
        self._runs = mongo.db[SIMULATIONS]

    def record(self, run: str, duplicates: int, now_ms: int) -> None:
        """Note that ``run`` ended at ``now_ms``, with so many events answered as duplicates."""
        note = {"_id": run, "at": to_datetime(now_ms), "duplicates": duplicates}
        with translated():
            self._runs.replace_one({"_id": run}, note, upsert=True)
