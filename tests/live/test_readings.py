"""What a refresh reads, on a real server, with its cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pymongo
import pytest
from pymongo import monitoring

from dmstats.core.clock import ManualClock, to_datetime
from dmstats.core.errors import StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.dashboard.population import SETTLED_MS, PopulationCounts
from dmstats.db.dashboard.readings import (
    LONG_READ_SECONDS,
    SMALL_COLLECTION,
    Readings,
    ReadingsStore,
)
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.snapshot.build import build, floor_of
from tests.conftest import mongodb

pytestmark = pytest.mark.live

READS = {"find", "aggregate", "count", "distinct", "getMore"}
ACCOUNTS = int(os.environ.get("READINGS_ACCOUNTS", "3000"))


class Commands(monitoring.CommandListener):
    def __init__(self) -> None:
        self.started_commands: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.started_commands.append((event.command_name, dict(event.command)))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    def reads(self) -> list[dict[str, Any]]:
        return [command for name, command in self.started_commands if name in READS]


def account(number: int, clock: ManualClock, **fields: Any) -> dict[str, Any]:
    return {
        "instagramId": str(1000 + number),
        "isActive": True,
        "dmUsed": number,
        "createdAt": to_datetime(clock.now_ms() - 10 * SETTLED_MS),
        **fields,
    }


@pytest.fixture(scope="module")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own: the one that other tests have filled may stop for a minute during an
    insert of a thousand documents."""
    with mongodb(tmp_path_factory.mktemp("secantus")) as uri:
        yield uri


@pytest.fixture
def store(mongo: Mongo, clock: ManualClock) -> ReadingsStore:
    for field in ("dmUsed", "isActive", "createdAt"):
        mongo.db["instagram_accounts"].create_index(field)
    return ReadingsStore(mongo, PopulationCounts(mongo, clock))


@pytest.fixture
def watched(mongo: Mongo, mongodb_uri: str) -> Iterator[tuple[Mongo, Commands]]:
    """The same database through a client whose commands are seen."""
    commands = Commands()
    client: Any = pymongo.MongoClient(mongodb_uri, event_listeners=[commands])
    yield Mongo(client, mongo.db.name, "secondaryPreferred"), commands
    client.close()


def test_it_works(mongo: Mongo, store: ReadingsStore, clock: ManualClock) -> None:
    now = to_datetime(clock.now_ms())
    hour = now.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    mongo.db["stats_cache"].insert_one({"_id": "global", "dmsSent": 5, "events": {"seen": 1}})
    mongo.db["dmstats_hours"].insert_many(
        [{"_id": hour - timedelta(hours=i), "sent": i, "minutes": {}} for i in range(30)]
    )
    mongo.db["dmstats_days"].insert_many(
        [{"_id": day - timedelta(days=i), "sent": i} for i in range(40)]
    )
    mongo.db["instagram_accounts"].insert_many([account(i, clock) for i in range(12)])
    mongo.db["users"].insert_many([{}, {}])
    readings = store.read(clock.now_ms())
    assert readings.totals.sent == 5
    assert (len(readings.hours), len(readings.days)) == (26, 40)
    assert [found.dm_used for found in readings.top] == list(range(11, 1, -1))
    assert (readings.accounts, readings.users) == (12, 2)
    assert build(readings, clock.now_ms())["month"]["sent"] == sum(range(15))


def test_an_empty_database_reads_as_nothing(store: ReadingsStore, clock: ManualClock) -> None:
    readings = store.read(clock.now_ms())
    assert (readings.accounts, readings.users, readings.inactive) == (0, 0, 0)
    assert (readings.top, readings.audit) == ([], None)
    assert not readings.totals.counting


def test_no_reading_takes_more_than_six_queries(
    store: ReadingsStore, watched: tuple[Mongo, Commands], clock: ManualClock
) -> None:
    mongo, commands = watched
    population_counts = PopulationCounts(mongo, clock)
    watched_store = ReadingsStore(mongo, population_counts)

    def queries() -> int:
        commands.started_commands.clear()
        return watched_store.read(clock.now_ms()).queries

    def all_queries() -> int:
        told = queries()
        assert told == len(commands.reads())
        return told

    assert all_queries() == 6, "few accounts and users are counted as they are"
    mongo.db["instagram_accounts"].insert_many(
        [account(i, clock) for i in range(SMALL_COLLECTION + 1)]
    )
    assert queries() == 6, "many accounts, and no census yet: it is taken beside this refresh"
    assert all_queries() == 6
    mongo.db["users"].insert_many([{} for _ in range(SMALL_COLLECTION + 1)])
    population_counts.recount()
    assert all_queries() == 5
    clock.advance(7200)
    assert queries() == 5, "the census is out of date: it is taken beside this refresh"
    assert all_queries() == 5


def test_few_accounts_and_users_are_counted_as_they_are(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock
) -> None:
    """Without waiting for a census: a change shows at the next refresh."""
    PopulationCounts(mongo, clock).recount()
    mongo.db["instagram_accounts"].insert_many(
        [account(i, clock, isActive=i > 1) for i in range(5)]
    )
    mongo.db["users"].insert_one({})
    readings = store.read(clock.now_ms())
    assert (readings.accounts, readings.inactive, readings.users) == (5, 2, 1)


def test_reads_carry_the_preference_and_writes_do_not(
    store: ReadingsStore, watched: tuple[Mongo, Commands], clock: ManualClock
) -> None:
    mongo, commands = watched
    population_counts = PopulationCounts(mongo, clock)
    population_counts.recount()
    body = build(ReadingsStore(mongo, population_counts).read(clock.now_ms()), clock.now_ms())
    SnapshotStore(mongo).save(body, clock.now_ms(), term=None)
    for name, command in commands.started_commands:
        mode = command.get("$readPreference", {}).get("mode", "primary")
        assert (mode == "secondaryPreferred") == (name in READS), command
        if name in READS:
            assert command["$readPreference"]["maxStalenessSeconds"] == 90


def test_accounts_are_counted_to_the_one_between_censuses(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock
) -> None:
    accounts = mongo.db["instagram_accounts"]
    fresh = to_datetime(clock.now_ms())
    accounts.insert_many([account(i, clock) for i in range(SMALL_COLLECTION)])
    accounts.insert_many(
        [account(i, clock, createdAt=fresh) for i in range(SMALL_COLLECTION, SMALL_COLLECTION + 5)]
    )
    accounts.update_many({"dmUsed": {"$lt": 3}}, {"$set": {"isActive": False}})
    PopulationCounts(mongo, clock).recount()
    readings = store.read(clock.now_ms())
    assert (readings.accounts, readings.inactive) == (SMALL_COLLECTION + 5, 3)
    clock.advance(60)
    accounts.insert_one(account(SMALL_COLLECTION + 5, clock, createdAt=to_datetime(clock.now_ms())))
    assert store.read(clock.now_ms()).accounts == SMALL_COLLECTION + 6


def test_a_census_is_taken_when_it_is_due(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock
) -> None:
    population_counts = PopulationCounts(mongo, clock)
    assert population_counts.tick()
    assert not population_counts.tick()
    clock.advance(599)
    assert not population_counts.tick()
    assert not PopulationCounts(mongo, clock).tick(), "a new leader keeps the schedule"
    clock.advance(2)
    assert population_counts.tick()


def test_without_a_leader_every_count_comes_round(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock
) -> None:
    PopulationCounts(mongo, clock).recount()
    accounts = [account(i, clock, isActive=i > 1) for i in range(SMALL_COLLECTION + 5)]
    mongo.db["instagram_accounts"].insert_many(accounts)
    mongo.db["users"].insert_many([{} for _ in range(SMALL_COLLECTION + 3)])
    clock.advance(7200)
    readings = store.read(clock.now_ms())
    assert (readings.accounts, readings.inactive, readings.users) == (
        SMALL_COLLECTION + 5,
        2,
        SMALL_COLLECTION + 3,
    )


def batched(numbers: range, size: int) -> Iterator[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def scanned(mongo: Mongo, collection: str, command: dict[str, Any]) -> int:
    """How many documents the server says it looked at."""
    explained = mongo.db.command("explain", command, verbosity="executionStats")
    stages = explained.get("stages")
    statistics = stages[0]["$cursor"] if stages else explained
    return int(statistics["executionStats"]["totalDocsExamined"])


def test_no_query_scans_more_than_its_limit(
    mongo: Mongo, store: ReadingsStore, watched: tuple[Mongo, Commands], clock: ManualClock
) -> None:
    now = clock.now_ms()
    for some in batched(range(ACCOUNTS), 1000):
        with pymongo.timeout(60):
            mongo.db["instagram_accounts"].insert_many([account(i, clock) for i in some])
    start = to_datetime(now - now % 3_600_000)
    mongo.db["dmstats_hours"].insert_many(
        [{"_id": start - timedelta(hours=i), "sent": 1} for i in range(500)]
    )
    mongo.db["dmstats_days"].insert_many(
        [{"_id": start.replace(hour=0) - timedelta(days=i), "sent": 1} for i in range(300)]
    )
    population_counts = PopulationCounts(mongo, clock)
    population_counts.recount()
    first = store.read(now)
    SnapshotStore(mongo).save(build(first, now), now, term=None, floor=floor_of(first))
    _, commands = watched
    steady = ReadingsStore(watched[0], PopulationCounts(watched[0], clock)).read(now)
    assert [found.dm_used for found in steady.top] == list(range(ACCOUNTS - 1, ACCOUNTS - 11, -1))
    limits = {"stats_cache": 4, "dmstats_hours": 50, "dmstats_days": 62, "instagram_accounts": 10}
    finds = [command for name, command in commands.started_commands if name == "find"]
    assert {command["find"] for command in finds} == set(limits)
    for command in finds:
        wanted = {k: v for k, v in command.items() if k in ("find", "filter", "sort", "limit")}
        assert scanned(mongo, command["find"], wanted) <= limits[command["find"]], wanted
    counts = {
        "new" if "$match" in command["pipeline"][0] else "few": command["pipeline"]
        for name, command in commands.started_commands
        if name == "aggregate"
    }
    matched = {"find": "instagram_accounts", "filter": counts["new"][0]["$match"]}
    assert scanned(mongo, "instagram_accounts", matched) == 0
    assert counts["few"][0] == {"$limit": SMALL_COLLECTION + 1}


def test_the_top_follows_when_the_floor_is_too_high(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock
) -> None:
    mongo.db["instagram_accounts"].insert_many([account(i, clock) for i in range(30)])
    snapshots = SnapshotStore(mongo)

    def refresh() -> Readings:
        readings = store.read(clock.now_ms())
        snapshots.save({}, clock.now_ms(), term=None, floor=floor_of(readings))
        return readings

    refresh()
    mongo.db["instagram_accounts"].delete_many({"dmUsed": {"$gte": 25}})
    assert len(refresh().top) == 5, "what is left over the floor"
    assert [found.dm_used for found in refresh().top] == list(range(24, 14, -1))


def test_after_a_failure_the_top_may_take_its_time(
    mongo: Mongo, store: ReadingsStore, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or accounts that came in by the thousand, over the floor, would fail every refresh."""
    mongo.db["instagram_accounts"].insert_many([account(i, clock) for i in range(30)])
    first = store.read(clock.now_ms())
    SnapshotStore(mongo).save({}, clock.now_ms(), term=None, floor=floor_of(first))
    given: list[float | None] = []
    timeout = pymongo.timeout

    def short(seconds: float | None) -> Any:
        given.append(seconds)
        return timeout(1e-9 if seconds is None else seconds)

    monkeypatch.setattr(pymongo, "timeout", short)
    with pytest.raises(StoreUnavailable):
        store.read(clock.now_ms())
    assert len(store.read(clock.now_ms()).top) == 10
    assert given == [None, LONG_READ_SECONDS]


def test_settings_choose_where_to_read(mongodb_uri: str) -> None:
    connection = connect(Settings(mongodb_uri=mongodb_uri, read_preference="nearest"))
    assert connection.replica.read_preference.mongos_mode == "nearest"
    assert connection.db.read_preference.mongos_mode == "primary"
    connection.close()
