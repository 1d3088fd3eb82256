"""The statistics side of one worker, wired as the application does; several may share servers."""

from __future__ import annotations

from typing import Any

import msgspec
import redis

from dmstats.core.clock import Clock
from dmstats.db.client import Mongo
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.readings import ReadingsStore
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from dmstats.snapshot.reader import Reader
from dmstats.snapshot.refresher import Refresher
from dmstats.snapshot.schedule import RefreshSchedule
from tests.keyspace import CHANNEL, KEYS
from tests.recorder import Recorder


class StatsWorker:
    def __init__(
        self,
        mongo: Mongo,
        client: redis.Redis,
        clock: Clock,
        *,
        interval: float = 60.0,
        transport: str = "pubsub",
        computes: bool = True,
    ) -> None:
        self.mongo = mongo
        self.redis = client
        self.metrics = Recorder()
        self.population_counts = PopulationCounts(mongo, clock)
        self.readings = ReadingsStore(mongo, self.population_counts)
        self.snapshots = SnapshotStore(mongo)
        self.lease = Lease(client, KEYS, clock, self.last_term, self.metrics)
        self.publisher = Publisher(
            client, KEYS, self.send, self.metrics,
            cache_ttl=60, min_interval=10, transport=transport,
        )  # fmt: skip
        self.refresher = Refresher(
            self.readings,
            self.snapshots,
            self.publisher,
            self.lease,
            client,
            KEYS,
            clock,
            self.metrics,
            seen=lambda: self.reader.order,
        )
        self.refresh_schedule = RefreshSchedule(
            self.lease, self.refresher, self.snapshots, clock, interval=interval
        )
        self.reader = Reader(
            client, KEYS, self.snapshots, self.refresher, clock, self.metrics,
            interval=interval, computes=computes,
        )  # fmt: skip

    def last_term(self) -> int:
        return max(self.snapshots.last_term(), self.reader.term)

    def send(self, snapshot: dict[str, Any], version: str) -> object:
        message = {"data": snapshot, "type": "stats", "id": version}
        return self.redis.publish(CHANNEL, msgspec.json.encode(message))
