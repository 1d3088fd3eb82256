from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pymongo
import pytest
import redis
from pymongo import monitoring

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.client import Mongo
from dmstats.snapshot.encoded import Malformed
from dmstats.web.schema.snapshot_schema import Snapshot
from tests.conftest import NOW
from tests.keyspace import CACHE_KEY, INSTALLATION
from tests.servers import Redis, free_port, running
from tests.statsworker import StatsWorker

pytestmark = pytest.mark.live


@pytest.fixture
def worker(mongo: Mongo, redis_client: redis.Redis, clock: ManualClock) -> StatsWorker:
    return StatsWorker(mongo, redis_client, clock)


@pytest.fixture
def other(mongo: Mongo, redis_client: redis.Redis, clock: ManualClock) -> StatsWorker:
    return StatsWorker(mongo, redis_client, clock)


@pytest.fixture
def no_redis(tmp_path: Path) -> redis.Redis:
    return redis.Redis.from_url(Redis(tmp_path).url)


@pytest.fixture
def no_mongo() -> Iterator[Mongo]:
    client: Any = pymongo.MongoClient(
        f"mongodb://127.0.0.1:{free_port()}", serverSelectionTimeoutMS=100
    )
    yield Mongo(client, "gone", "primary")
    client.close()


def test_it_works(worker: StatsWorker, clock: ManualClock) -> None:
    worker.refresher.refresh()
    clock.advance(3.2)
    served = worker.reader.current()
    body = msgspec.json.decode(served.body)
    assert Snapshot().validate(body) == {}
    assert list(body)[:4] == ["version", "ageSeconds", "stale", "source"]
    assert (served.version, served.etag, served.order) == ("0-1", "0-1", (0, 1))
    assert (body["version"], body["ageSeconds"]) == ("0-1", 3.2)
    assert (body["stale"], body["source"]) == (False, "redis")
    assert worker.reader.current().source == "worker"


def test_polls_need_one_redis_get_in_two_seconds_and_no_mongodb(
    worker: StatsWorker, redis_client: redis.Redis, clock: ManualClock, mongodb_uri: str
) -> None:
    reads: list[str] = []

    class Listener(monitoring.CommandListener):
        def started(self, event: monitoring.CommandStartedEvent) -> None:
            reads.append(event.command_name)

        def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

        def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    worker.refresher.refresh()
    client: Any = pymongo.MongoClient(mongodb_uri, event_listeners=[Listener()])
    poller = StatsWorker(Mongo(client, worker.mongo.db.name, "primary"), redis_client, clock)
    before = redis_client.info("commandstats")["cmdstat_get"]["calls"]
    for _ in range(2000):
        poller.reader.current()
        clock.advance(0.005)
    gets = redis_client.info("commandstats")["cmdstat_get"]["calls"] - before
    client.close()
    assert gets <= 6
    assert reads == []
    assert poller.metrics.seen["cache_hit"] == 2000


def test_an_unpublished_refresh_is_seen_within_two_seconds(
    worker: StatsWorker, other: StatsWorker, clock: ManualClock
) -> None:
    worker.refresher.refresh()
    assert other.reader.current().version == "0-1"
    worker.refresher.refresh(publish=False)
    clock.advance(2)
    assert other.reader.current().version == "0-2"


@pytest.mark.parametrize("restored", [True, False], ids=["an older one", "nothing"])
def test_after_a_restore_below_a_running_service_the_next_refresh_is_shown(
    worker: StatsWorker, other: StatsWorker, clock: ManualClock, mongo: Mongo, *, restored: bool
) -> None:
    """Readers and Redis have a newer version than the restored database."""
    cache = mongo.db["stats_cache"]
    worker.refresher.refresh()
    backup = cache.find_one({"_id": "snapshot"})
    assert backup
    for _ in range(5):
        worker.refresher.refresh()
    assert worker.reader.current().version == other.reader.current().version == "0-6"
    cache.delete_one({"_id": "snapshot"})
    if restored:
        cache.insert_one(backup)
    cache.update_one({"_id": "global"}, {"$set": {"dmsSent": 4}}, upsert=True)
    done = other.refresher.refresh()
    assert done.version == "0-7"
    clock.advance(2)
    for each in (worker, other):
        body = msgspec.json.decode(each.reader.current().body)
        assert (body["version"], body["totalDMsSent"]) == ("0-7", 4)


def test_cold_readers_at_once_cause_one_computation(
    mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    workers = [StatsWorker(mongo, redis_client, clock) for _ in range(4)]
    with ThreadPoolExecutor(32) as pool:
        served = list(pool.map(lambda n: workers[n % 4].reader.current(), range(100)))
    assert {one.version for one in served} == {"0-1"}
    assert sum(worker.metrics.seen["refreshed"] for worker in workers) == 1


def test_an_expired_cache_alone_is_no_reason_to_read_the_store(
    worker: StatsWorker, redis_client: redis.Redis, clock: ManualClock
) -> None:
    worker.refresher.refresh()
    worker.reader.current()
    redis_client.delete(CACHE_KEY)
    clock.advance(62)
    served = worker.reader.current()
    assert (served.version, served.stale, served.source) == ("0-1", False, "worker")
    assert worker.metrics.seen["cache_miss"] == 0


def test_without_redis_the_stored_snapshot_is_served(
    worker: StatsWorker, mongo: Mongo, no_redis: redis.Redis, clock: ManualClock
) -> None:
    worker.refresher.refresh()
    cut_off = StatsWorker(mongo, no_redis, clock)
    clock.advance(30)
    served = cut_off.reader.current()
    assert (served.version, served.source, served.stale) == ("0-1", "store", False)
    clock.advance(61)
    served = cut_off.reader.current()
    assert (served.version, served.source, served.stale) == ("0-2", "computed", False)


def test_a_dead_redis_is_left_alone_for_a_while(
    worker: StatsWorker, mongo: Mongo, no_redis: redis.Redis, clock: ManualClock
) -> None:
    worker.refresher.refresh()
    cut_off = StatsWorker(mongo, no_redis, clock)
    for _ in range(50):
        cut_off.reader.newest()
    assert cut_off.metrics.seen["redis_failed"] == 1
    clock.advance(1)
    cut_off.reader.newest()
    assert cut_off.metrics.seen["redis_failed"] == 2


def test_without_mongodb_an_old_figure_is_marked(
    worker: StatsWorker, no_mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    worker.refresher.refresh()
    cut_off = StatsWorker(no_mongo, redis_client, clock)
    assert cut_off.reader.current().source == "redis"
    redis_client.flushdb()
    clock.advance(91)
    served = cut_off.reader.current()
    assert (served.version, served.stale, served.source) == ("0-1", True, "worker")
    assert served.etag == "0-1-stale"


def test_with_nothing_at_all_it_says_so(
    no_mongo: Mongo, no_redis: redis.Redis, clock: ManualClock
) -> None:
    reader = StatsWorker(no_mongo, no_redis, clock).reader
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            reader.current()


def test_a_worker_that_must_not_refresh_shows_old_figures_marked(
    mongo: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    looker = StatsWorker(mongo, redis_client, clock, computes=False)
    StatsWorker(mongo, redis_client, clock).refresher.refresh()
    looker.reader.current()
    clock.advance(600)
    served = looker.reader.current()
    assert (served.version, served.stale) == ("0-1", True)
    assert looker.metrics.seen["refreshed"] == 0


def test_published_figures_are_taken_over(
    worker: StatsWorker, other: StatsWorker, clock: ManualClock
) -> None:
    first, second = (marked(worker.refresher.refresh().snapshot) for _ in range(2))
    accepted = other.reader.accept(second)
    assert accepted is not None
    assert accepted.order == (0, 2)
    assert other.reader.accept(first) is None
    assert other.reader.current().version == "0-2"
    foreign: object
    for foreign in (
        [], {}, marked({"version": "1"}), {**second, "computedAt": 5}, {**second, "version": 5},
        marked({"version": "9-9", "computedAt": NOW}), {**second, "installation": "tests-ab"},
    ):  # fmt: skip
        with pytest.raises(Malformed):
            other.reader.accept(foreign)
    assert other.reader.term == 0


def test_rubbish_in_the_cache_is_passed_by(worker: StatsWorker, redis_client: redis.Redis) -> None:
    worker.refresher.refresh()
    redis_client.set(CACHE_KEY, b"\xff rubbish")
    assert worker.reader.current().source == "store"


def marked(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {**snapshot, "installation": INSTALLATION}


def _release(workers: Iterable[StatsWorker]) -> None:
    for worker in workers:
        worker.lease.release()


def test_no_reader_ever_goes_back(mongo: Mongo, clock: ManualClock, tmp_path: Path) -> None:
    """Three workers, while Redis is flushed, killed and started anew, and leaders come and go."""
    server = Redis(tmp_path)
    with running(server):
        workers = [StatsWorker(mongo, redis.Redis.from_url(server.url), clock) for _ in range(3)]
        seen: list[list[tuple[int, int]]] = [[] for _ in workers]
        happens: dict[int, Callable[[], object]] = {
            100: workers[0].redis.flushdb,
            200: server.kill,
            320: server.start,
            400: workers[0].redis.flushdb,
            500: lambda: _release(workers),
        }
        refreshed = 0
        for second in range(600):
            happens.get(second, lambda: None)()
            for number, worker in enumerate(workers):
                if second % 5 == number:
                    worker.lease.tick()
                refreshed += worker.refresh_schedule.tick()
                if second % 7 == 0:
                    seen[number].append(worker.reader.current().order)
            if second % 50 == 49:
                workers[second % 3].refresher.refresh()
            clock.advance(1)
        for orders in seen:
            assert orders == sorted(orders)
            assert orders[-1][0] >= 2
        assert not workers[0].reader.current().stale
        assert 5 <= refreshed <= 11, "one leader at a time, one refresh an interval"
        assert sum(worker.lease.held for worker in workers) == 1
        for worker in workers:
            worker.redis.close()
