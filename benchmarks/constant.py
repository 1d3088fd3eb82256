"""The load tables: which commands MongoDB and Redis really get, at any number of DMs.

The real parts (committer's store, refresher, lease, publisher) run on the real databases, under a
clock that is moved by hand, so that three days take minutes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import redis
from pymongo import monitoring

from benchmarks.databases import Databases
from benchmarks.report import Result, table
from dmstats.commit.increments import merge
from dmstats.core.clock import ManualClock
from dmstats.core.constants import CHANNEL
from dmstats.core.keyspace import Keyspace
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.readings import Readings, ReadingsStore
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.installation import Installation
from dmstats.db.transactions import Transactions
from dmstats.ingest.events import read_events
from dmstats.ops.metrics import Metrics
from dmstats.snapshot.build import build
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from dmstats.snapshot.refresher import Refresher
from dmstats.snapshot.schedule import RefreshSchedule

START_MS = 1_794_787_200_000
STEP_SECONDS = 5
READS = ("find", "aggregate", "count", "getMore", "distinct")


class Listener(monitoring.CommandListener):
    """Counts what the driver sends, by purpose."""

    def __init__(self) -> None:
        self.purpose = "set-up"
        self.sent: Counter[tuple[str, str]] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent[self.purpose, event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""

    def reads(self, purpose: str) -> int:
        return sum(self.sent[purpose, name] for name in READS)


class Watched(ReadingsStore):
    """Tells a refresh' own queries from those that go with leading."""

    def __init__(
        self, mongo: Mongo, population_counts: PopulationCounts, listener: Listener
    ) -> None:
        super().__init__(mongo, population_counts)
        self._listener = listener

    def read(
        self,
        now_ms: int,
        days: Collection[int] = (),
        hours: Collection[int] = (),
        minutes: Collection[int] = (),
    ) -> Readings:
        self._listener.purpose = "stats"
        try:
            return super().read(now_ms, days, hours, minutes)
        finally:
            self._listener.purpose = "leading"


class Harness:
    """One leader and one committer on a clock that is moved by hand."""

    def __init__(self, mongo: Mongo, client: redis.Redis, listener: Listener) -> None:
        self.clock, self.listener, self.redis = ManualClock(START_MS), listener, client
        metrics = Metrics()
        ledger = Ledger(mongo, retention_hours=168)
        self._transactions = Transactions(mongo)
        self._batches = Batches(mongo, ledger, self._transactions, self.clock)
        snapshots, population_counts = SnapshotStore(mongo), PopulationCounts(mongo, self.clock)
        keys = Keyspace(Installation(mongo).name, self.clock)
        self._lease = Lease(client, keys, self.clock, snapshots.last_term, metrics)

        def send(snapshot: dict[str, Any], version: str) -> None:  # noqa: ARG001 - flask-sse's place
            client.publish(keys.key(CHANNEL), "{}")

        publisher = Publisher(client, keys, send, metrics, cache_ttl=60, min_interval=10)
        self._readings = Watched(mongo, population_counts, listener)
        self.refresher = Refresher(
            self._readings, snapshots, publisher, self._lease, client, keys, self.clock,
            metrics,
        )  # fmt: skip
        self._refresh_schedule = RefreshSchedule(
            self._lease, self.refresher, snapshots, self.clock, interval=60
        )
        self.population_counts = population_counts
        self.redis_while_counting = 0
        self._serial = 0

    def compute(self) -> dict[str, Any]:
        """The part of a refresh that reads the counters and makes a snapshot of them."""
        now = self.clock.now_ms()
        return build(self._readings.read(now), now)

    def minute(self, dms: int) -> None:
        """Count ``dms`` as they come, then let a minute of scheduled work pass."""
        before = calls(self.redis)
        self.listener.purpose = "counting"
        for size in [2000] * (dms // 2000) + [dms % 2000] * bool(dms % 2000):
            self._count(size)
        self.redis_while_counting += total(calls(self.redis) - before)
        for second in range(60):
            self.clock.advance(1)
            if second % STEP_SECONDS == 0:
                self.listener.purpose = "lease"
                self._lease.tick()
                self.listener.purpose = "census"
                self.population_counts.tick()
            self.listener.purpose = "leading"
            self._refresh_schedule.tick()

    def _count(self, dms: int) -> None:
        now = self.clock.now_ms()
        items = [
            {"sender": {"id": "1"}, "timestamp": now, "message": {"mid": f"m{self._serial + n}"}}
            for n in range(dms)
        ]
        self._serial += dms
        accounts = [{"id": f"a{n}", "time": now, "messaging": items[n::3]} for n in range(3)]
        body = json.dumps({"object": "instagram", "entry": accounts}).encode()
        rows = read_events(body, arrived_ms=now, max_age_ms=10**9).rows
        known = self._batches.find_existing(rows, seconds=30)
        new = [row for row in rows if row.row_id not in known]
        self._batches.write(new, merge(new), seconds=30)

    def close(self) -> None:
        self._lease.release()
        self._transactions.close()


def calls(client: redis.Redis) -> Counter[str]:
    """How often each command was called, as Redis itself counts."""
    told: dict[str, Any] = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in told.items()})


def total(counted: Counter[str]) -> int:
    """All calls but those of the measurement itself."""
    return sum(n for name, n in counted.items() if name not in ("info", "config"))


def loads(databases: Databases, *, quick: bool) -> Result:
    """The specification's load tables, counted."""
    plans = [("100 DMs/min", 3, 100), ("1,000 DMs/min", 3, 1000), ("10,000 DMs/min", 3, 10_000)]
    if not quick:
        plans += [("30,000 DMs in 12 h", 720, 42), ("200,000 DMs in 3 days", 4320, 46)]
    raw = []
    for name, minutes, dms in plans:
        counted = _measure(databases, minutes, dms)
        raw.append({"load": name, "minutes": minutes, "DMs": minutes * dms, **counted})
        print(f"  {name}: {counted}", flush=True)
    return Result(shown(raw), raw)


def shown(raw: Sequence[Mapping[str, Any]], _: str = "") -> str:
    """The table."""
    rows = [
        [
            told["load"], str(told["minutes"]), f"{told['DMs']:,}", f"{told['publishes']:,}",
            f"{told['stats queries']:,}", f"{6 * told['minutes']:,}",
            f"{told['commands while counting']:,}",
            str(told["Redis commands while counting"]),
        ]
        for told in raw
    ]  # fmt: skip
    head = [
        "load", "minutes", "DMs", "publishes", "refresh queries", "limit",
        "MongoDB commands for counting", "Redis commands for counting",
    ]  # fmt: skip
    return table(head, rows)


def _measure(databases: Databases, minutes: int, dms: int) -> dict[str, int]:
    databases.flush_redis()
    listener = Listener()
    with databases.fresh() as made, redis.Redis.from_url(databases.redis_url) as client:
        monitoring.register(listener)
        try:
            mongo = connect(Settings(mongodb_db=made.db.name), uri=databases.uri)
        finally:
            # The driver has no way to take a listener back; other clients are made with none.
            monitoring._LISTENERS.command_listeners.remove(listener)  # noqa: SLF001
        harness = Harness(mongo, client, listener)
        before = calls(client)
        try:
            for _ in range(minutes):
                harness.minute(dms)
        finally:
            harness.close()
            mongo.close()
        published = (calls(client) - before)["publish"]
    counting = {name: n for (why, name), n in listener.sent.items() if why == "counting"}
    return {
        "publishes": published,
        "stats queries": listener.reads("stats"),
        "census queries": listener.reads("census"),
        "commands while counting": sum(counting.values()),
        "Redis commands while counting": harness.redis_while_counting,
    }
