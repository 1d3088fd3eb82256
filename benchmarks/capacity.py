"""A small queueing model of dmstats: how many of what for a given number of DMs a day. Pure.

Group commit is a server that takes everything queued: a commit of n DMs takes ``base + each * n``
seconds, and while it runs the next batch gathers. Once commits follow each other without a pause,
batches settle where what arrives during a commit is the next commit: at r DMs/s
``t = base / (1 - r * each)``. So latency is flat until r comes near what full batches can do, and
grows without bound there. A commit holds the totals document from its first write to its end, so
all workers and hosts commit one after the other, as one would: more at once takes stripes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from benchmarks.fit import non_negative

DAY_SECONDS = 86_400
MAX_BATCH = 2_000
MOST_BUSY = 0.6
"""No resource is planned to be busier: what is left is for bursts and for the loss of a host."""
HOST_CORES = 8
DATABASE_CORES = 16
MIN_CORES = 2
REDIS_MESSAGES = 50_000.0
"""Snapshots that one Redis hands to subscribers in a second; it is asked for one per worker and
minute, so this is far away."""
ACROSS_SHARDS = 2.0
"""Assumed, not measured: a transaction over several shards costs the database so many times more
(prepare and commit on each, the coordinator's own write)."""


class Point(msgspec.Struct, frozen=True):
    """A closed loop that was measured: ``posts`` of ``dms`` each in flight gave ``rate`` DMs/s."""

    posts: int
    dms: int
    rate: float


class Commit(msgspec.Struct, frozen=True):
    """How long a commit takes, in seconds: ``base`` whatever is in it, ``each`` for every DM, and
    ``post`` for every request that waits for it."""

    base: float
    each: float
    post: float = 0.0

    def per_dm(self, dms: float) -> float:
        """What one more DM adds where POSTs bring ``dms`` each."""
        return self.each + self.post / dms

    def closed_loop(self, posts: int, dms: int) -> float:
        """DMs/s with ``posts`` of ``dms`` each in flight: an answered client sends again before the
        next batch is taken, so all of them are one batch, up to the largest."""
        return self.most(dms, batch=min(posts * dms, MAX_BATCH))

    def seconds(self, rate: float, dms: float) -> float:
        """How long a commit takes at ``rate`` DMs/s: of one POST, or of all that came during the
        one before. Infinite where it cannot keep up."""
        busy = rate * self.per_dm(dms)
        alone = self.base + self.per_dm(dms) * dms
        return max(alone, self.base / (1 - busy)) if busy < 1 else math.inf

    def latency(self, rate: float, dms: float) -> float:
        """Mean seconds from arrival to acknowledgement at ``rate`` DMs/s: one's own commit, and
        half a commit more for a request that finds one running."""
        seconds = self.seconds(rate, dms)
        return seconds * (1 + min(1.0, rate / dms * seconds) / 2)

    def most(self, dms: float, *, batch: int = MAX_BATCH) -> float:
        """DMs/s with such batches one after the other, by default full ones."""
        return batch / (self.base + self.per_dm(dms) * batch)


def fit_commit(points: Iterable[Point]) -> Commit:
    """Least squares over measured closed loops: the seconds in which a batch goes round."""
    usable = [point for point in points if point.rate > 0]
    batches = [min(p.posts * p.dms, MAX_BATCH) for p in usable]
    rows = [[1, n, n / p.dms] for n, p in zip(batches, usable, strict=True)]
    return Commit(*non_negative(rows, [n / p.rate for n, p in zip(batches, usable, strict=True)]))


class Costs(msgspec.Struct, frozen=True):
    """Measured service times, in seconds and bytes.

    ``app_*`` and ``database_*`` are CPU, for every POST and every DM in it; ``commit`` is a
    committer by itself, since other workers may read and verify; ``get`` and ``push`` are a poll
    and one snapshot to one stream; ``row_bytes`` is what a DM makes the database write.
    """

    app_post: float
    app_dm: float
    database_post: float
    database_dm: float
    commit: Commit
    get: float
    push: float
    row_bytes: float


class Demand(msgspec.Struct, frozen=True):
    """What is asked for. The peak is ``peak`` times the mean of the day."""

    dms_a_day: float
    dms_a_post: float = 1.0
    peak: float = 10.0
    admins: int = 100
    retention_days: float = 7.0

    @property
    def rate(self) -> float:
        """DMs/s at the peak."""
        return self.dms_a_day / DAY_SECONDS * self.peak


class CapacityPlan(msgspec.Struct, frozen=True):
    """What that takes. ``busy`` says how much of one of each would be used at the peak."""

    demand: Demand
    busy: dict[str, float]
    workers: int
    hosts: int
    database_cores: int
    shards: int
    stripes: int
    redis: int
    latency: float
    written_mb: float
    ledger_gb: float

    @property
    def bottleneck(self) -> str:
        """The resource that saturates first as the DMs grow."""
        return max(self.busy, key=lambda name: self.busy[name])


WORKER = "a worker's core"
COMMITTER = "serial commits"
DATABASE = f"a database of {DATABASE_CORES} cores"
REDIS = "Redis"


def plan(costs: Costs, demand: Demand) -> CapacityPlan:
    """Size everything so that nothing is busier than ``MOST_BUSY`` at the peak."""
    rate, dms = demand.rate, demand.dms_a_post
    app = rate * (costs.app_post / dms + costs.app_dm)
    # Dashboards: a poll every 30 s at worst, one snapshot a minute to each stream.
    app += demand.admins * (costs.get / 30 + costs.push / 60)
    database = rate * (costs.database_post / dms + costs.database_dm)
    committing = rate / costs.commit.most(dms)
    workers, stripes = needed(app), needed(committing)
    hosts = max(stripes, math.ceil(workers / HOST_CORES))
    shards = needed(database / DATABASE_CORES)
    if shards > 1:
        database *= ACROSS_SHARDS
        shards = needed(database / DATABASE_CORES)
    messages = max(workers, hosts) / 60
    busy = {
        WORKER: app,
        COMMITTER: committing,
        DATABASE: database / DATABASE_CORES,
        REDIS: messages / REDIS_MESSAGES,
    }
    return CapacityPlan(
        demand=demand,
        busy=busy,
        workers=max(workers, hosts),
        hosts=hosts,
        database_cores=max(MIN_CORES, needed(database)),
        shards=shards,
        stripes=stripes,
        redis=needed(messages / REDIS_MESSAGES),
        latency=costs.app_post + costs.commit.latency(rate / stripes, dms),
        written_mb=rate * costs.row_bytes / 1e6,
        ledger_gb=demand.dms_a_day * demand.retention_days * LEDGER_ROW_BYTES / 1e9,
    )


LEDGER_ROW_BYTES = 120.0
"""A ledger row with its `_id` index as WiredTiger keeps it, uncompressed."""


def needed(busy: float) -> int:
    """How many of a resource, one of which would be so ``busy``; at least one."""
    return max(1, math.ceil(busy / MOST_BUSY - 1e-9))


def advice(found: CapacityPlan) -> list[str]:
    """What to change for that plan, the first need first."""
    told = []
    if found.hosts == 1 and found.shards == 1:
        told.append("one web host, a second for redundancy; MongoDB as a replica set of three")
    if found.hosts > 1:
        told.append(f"{found.hosts} hosts behind a load balancer")
    if found.stripes > 1:
        told.append(
            f"totals, hours and days striped over {found.stripes} documents, so that as many hosts "
            "commit at once"
        )
    if found.shards > 1:
        told.append(f"{found.shards} shards (`python -m migrations --shard`)")
    if found.redis > 1:
        told.append(f"Redis Cluster of {found.redis} with sharded Pub/Sub")
    return told
