"""Records the duplicates of each `dmstats simulate` run, since duplicates have no ledger rows."""

from __future__ import annotations

from dmstats.core.clock import to_datetime
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import SIMULATIONS


class Simulations:
    """One document per run."""

    def __init__(self, mongo: Mongo) -> None:
        self._runs = mongo.db[SIMULATIONS]

    def record(self, run: str, duplicates: int, now_ms: int) -> None:
        """Record that ``run`` ended at ``now_ms`` with this number of ``duplicates``."""
        note = {"_id": run, "at": to_datetime(now_ms), "duplicates": duplicates}
        with translated():
            self._runs.replace_one({"_id": run}, note, upsert=True)
