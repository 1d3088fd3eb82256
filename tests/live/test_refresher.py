from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fakeredis
import pytest
import redis

from dmstats.core.clock import ManualClock
from dmstats.core.errors import Superseded
from dmstats.db.client import Mongo
from dmstats.db.dashboard.readings import Readings
from tests.keyspace import CACHE_KEY
from tests.servers import Redis
from tests.statsworker import StatsWorker

pytestmark = pytest.mark.live


@pytest.fixture
def worker(mongo: Mongo, redis_client: redis.Redis, clock: ManualClock) -> StatsWorker:
    return StatsWorker(mongo, redis_client, clock)


def test_it_works(worker: StatsWorker) -> None:
    worker.mongo.db["stats_cache"].insert_one({"_id": "global", "dmsSent": 12})
    done = worker.refresher.refresh()
    assert done.published
    assert (done.version, done.snapshot["totalDMsSent"]) == ("0-1", 12)
    assert done.snapshot["refresh"] == {"computeMs": done.compute_ms, "dbQueries": 6}
    assert next(iter(done.snapshot)) == "version"
    assert worker.reader.current().version == "0-1"
    assert worker.metrics.seen["refreshed"] == 1


def test_the_job_writes_under_its_term(worker: StatsWorker) -> None:
    worker.lease.tick()
    assert worker.refresher.refresh(scheduled=True).version == "1-1"
    assert worker.refresher.refresh().version == "1-2"


def test_a_worker_that_does_not_lead_runs_no_job(worker: StatsWorker) -> None:
    with pytest.raises(Superseded):
        worker.refresher.refresh(scheduled=True)


def test_not_publishing_still_shows(worker: StatsWorker, redis_client: redis.Redis) -> None:
    done = worker.refresher.refresh(publish=False)
    assert (done.published, done.rate_limited) == (False, False)
    assert redis_client.get(CACHE_KEY) is not None


def test_inside_the_limit_it_refreshes_but_does_not_publish(worker: StatsWorker) -> None:
    worker.refresher.refresh()
    done = worker.refresher.refresh()
    assert (done.published, done.rate_limited) == (False, True)
    assert 9 < done.retry_after <= 10
    assert worker.reader.current().version == done.version


def test_a_former_leader_steps_down(
    worker: StatsWorker, mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    other = StatsWorker(mongo, redis_client, clock)
    worker.lease.tick()
    redis_client.flushdb()
    other.lease.tick()
    other.snapshots.save({"computedAt": "2026-11-15T12:00:00Z"}, 0, term=other.lease.term + 1)
    assert worker.lease.held
    assert not worker.refresh_schedule.tick()
    assert not worker.lease.held


def test_the_log_line_has_every_field(
    worker: StatsWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        worker.refresher.refresh()
    [line] = [record for record in caplog.records if record.message == "refresh"]
    fields = line.__dict__
    assert fields["totals"].keys() == {"sent", "received", "users", "accounts", "activeAccounts"}
    assert fields["cache"] == {"hitRatio": None, "ttl": 60}
    assert (fields["version"], fields["published"], fields["rateLimited"]) == ("0-1", True, False)
    assert (fields["leader"], fields["viewers"], fields["dbQueries"]) == (False, 3, 6)
    assert fields["computeMs"] > -1


def test_refreshes_do_not_overlap(
    mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    """The refresh with the later version has also read later."""
    counters = mongo.db["stats_cache"]
    counters.insert_one({"_id": "global", "dmsSent": 0})
    over = threading.Event()

    def count() -> None:
        while not over.is_set():
            counters.update_one({"_id": "global"}, {"$inc": {"dmsSent": 1}})

    def refresh(number: int) -> tuple[int, int]:
        done = StatsWorker(mongo, redis_client, clock).refresher.refresh(publish=False)
        return int(done.version.split("-")[1]), done.snapshot["totalDMsSent"]

    counter = threading.Thread(target=count)
    counter.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            seen = sorted(pool.map(refresh, range(12)))
    finally:
        over.set()
        counter.join()
    assert [version for version, _ in seen] == list(range(1, 13))
    totals = [total for _, total in seen]
    assert totals == sorted(totals)


def test_without_redis_it_refreshes(mongo: Mongo, clock: ManualClock, tmp_path: Path) -> None:
    gone = redis.Redis.from_url(Redis(tmp_path).url)
    worker = StatsWorker(mongo, gone, clock)
    done = worker.refresher.refresh()
    assert (done.published, done.rate_limited) == (False, False)
    stored = worker.snapshots.load()
    assert stored is not None
    assert stored.version == done.version


class TestSchedule:
    def test_once_an_interval(self, worker: StatsWorker, clock: ManualClock) -> None:
        worker.lease.tick()
        refreshes = []
        for second in range(301):
            if worker.refresh_schedule.tick():
                refreshes.append(second)
            clock.advance(1)
            if second % 5 == 0:
                worker.lease.tick()
        assert refreshes == [0, 60, 120, 180, 240, 300]

    def test_a_follower_does_nothing(self, worker: StatsWorker) -> None:
        assert not worker.refresh_schedule.tick()
        assert worker.snapshots.load() is None

    def test_a_new_leader_keeps_the_schedule(
        self, worker: StatsWorker, mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
    ) -> None:
        worker.lease.tick()
        assert worker.refresh_schedule.tick()
        worker.lease.release()
        clock.advance(20)
        heir = StatsWorker(mongo, redis_client, clock)
        heir.lease.tick()
        assert not heir.refresh_schedule.tick()
        clock.advance(39)
        assert not heir.refresh_schedule.tick()
        clock.advance(1)
        assert heir.refresh_schedule.tick()

    def test_a_late_leader_refreshes_at_once(self, worker: StatsWorker, clock: ManualClock) -> None:
        worker.refresher.refresh()
        clock.advance(61)
        worker.lease.tick()
        assert worker.refresh_schedule.tick()

    def test_a_stepped_clock_does_not_stop_it(
        self, worker: StatsWorker, clock: ManualClock
    ) -> None:
        worker.refresher.refresh()
        clock.step(-86_400)
        worker.lease.tick()
        worker.refresh_schedule.tick()
        for _ in range(3):
            clock.advance(20)
            worker.lease.tick()
        assert worker.refresh_schedule.tick()


class Slow:
    """Readings that another refresh overtakes, ``times`` times."""

    def __init__(self, worker: StatsWorker, overtake: Callable[[], object], times: int) -> None:
        self.readings, self.overtake, self.times = worker.readings, overtake, times
        self.reads = 0

    def read(self, now_ms: int, *ranges: Collection[int]) -> Readings:
        self.reads += 1
        read = self.readings.read(now_ms, *ranges)
        if self.reads <= self.times:
            self.overtake()
        return read


def set_total(mongo: Mongo, sent: int) -> None:
    mongo.db["stats_cache"].update_one({"_id": "global"}, {"$set": {"dmsSent": sent}}, upsert=True)


@pytest.mark.parametrize("away", [False, True], ids=["with Redis", "without Redis"])
@pytest.mark.parametrize("step", [0, -3600, 30 * 86400], ids=["", "clock back", "clock forward"])
def test_older_readings_never_replace_newer_ones(
    mongo: Mongo, redis_server: Redis, clock: ManualClock, away: bool, step: int
) -> None:
    client = redis.Redis.from_url(redis_server.url)
    slow, quick = (StatsWorker(mongo, client, clock) for _ in range(2))
    set_total(mongo, 10)
    if away:
        redis_server.kill()
    quick.refresher._redis = slow.refresher._redis = fakeredis.FakeRedis()  # their lock was lost

    def overtake() -> None:
        set_total(mongo, 110)
        clock.step(step)
        quick.refresher._redis = fakeredis.FakeRedis()
        quick.refresher.refresh()

    slow.refresher._readings = Slow(slow, overtake, times=1)  # type: ignore[assignment]
    done = slow.refresher.refresh()
    stored = slow.snapshots.load()
    assert stored is not None
    assert (done.snapshot["totalDMsSent"], stored.body["totalDMsSent"]) == (110, 110)
    assert (done.version, stored.version) == ("0-2", "0-2")


def test_a_refresher_overtaken_twice_takes_the_newer_figures(
    mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    slow, quick = (StatsWorker(mongo, redis_client, clock) for _ in range(2))
    set_total(mongo, 10)
    totals = iter((110, 210))

    def overtake() -> None:
        set_total(mongo, next(totals))
        quick.refresher._redis = fakeredis.FakeRedis()
        quick.refresher.refresh(publish=False)

    slow.refresher._readings = readings = Slow(slow, overtake, times=2)  # type: ignore[assignment]
    done = slow.refresher.refresh()
    assert (readings.reads, done.version) == (2, "0-2")
    assert done.snapshot["totalDMsSent"] == 210
    assert done.published
