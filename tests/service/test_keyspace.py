"""Several installations on one Redis, and keys of other programs under our names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakeredis
import msgspec
import pytest
import redis

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.core.keyspace import RETRY_SECONDS, InstallationUnknown, Keyspace
from dmstats.db.client import Mongo
from dmstats.db.collection_names import INSTALLATION as COLLECTION
from dmstats.db.incidents import IncidentStore
from dmstats.db.installation import Installation
from dmstats.ops.delivery_log import KEY as DELIVERIES
from dmstats.ops.delivery_log import DeliveryLog, Record, SharedDeliveryLog
from dmstats.ops.delivery_status import DeliveryStatus
from dmstats.ops.incident_book import KEY as INCIDENTS
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.incidents import SILENT
from dmstats.snapshot.build import build
from dmstats.snapshot.encoded import Malformed, cached_from_json
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from tests.keyspace import CACHE_KEY, INSTALLATION, KEYS, LAST_PUBLISH_KEY, LEASE_KEY, TERM_KEY
from tests.readings import readings_of
from tests.recorder import Recorder
from tests.service.admin_site import MockClient


def mongo(name: str = "stats") -> Mongo:
    return Mongo(MockClient(), name, "primary")


class TestInstallation:
    def test_it_works(self) -> None:
        database = mongo()
        name = Installation(database).name()
        assert name.startswith("stats-")
        assert Installation(database).name() == name
        assert Installation(mongo()).name() != name

    @pytest.mark.parametrize("odd", [None, 5, "", "x", [], {"a": 1}, "ABCDEF0123456789"])
    def test_what_is_no_id_is_replaced_once(self, odd: object) -> None:
        database = mongo()
        database.db[COLLECTION].insert_one({"_id": "installation", "id": odd})
        assert Installation(database).name() == Installation(database).name()

    def test_a_document_without_an_id(self) -> None:
        database = mongo()
        database.db[COLLECTION].insert_one({"_id": "installation"})
        assert Installation(database).name() == Installation(database).name()


class TestKeyspace:
    def test_it_works(self, clock: ManualClock) -> None:
        keys = Keyspace(lambda: "stats-1", clock)
        assert keys.key("admin:stats") == "stats-1:admin:stats"

    def test_it_asks_again_after_a_break(self, clock: ManualClock) -> None:
        asked: list[int] = []

        def identify() -> str:
            asked.append(1)
            if len(asked) < 2:
                raise StoreUnavailable
            return "stats-1"

        keys = Keyspace(identify, clock)
        for _ in range(3):
            with pytest.raises(InstallationUnknown):
                keys.key("x")
        assert len(asked) == 1
        clock.advance(RETRY_SECONDS)
        assert [keys.key("x"), keys.key("y")] == ["stats-1:x", "stats-1:y"]
        assert len(asked) == 2

    def test_an_unknown_installation_is_handled_like_an_unreachable_redis(
        self, clock: ManualClock
    ) -> None:
        def unknown() -> str:
            raise StoreUnavailable

        client, keys = fakeredis.FakeRedis(), Keyspace(unknown, clock)
        lease = Lease(client, keys, clock, lambda: 0, Recorder())
        assert not lease.tick()
        lease.release()
        publisher = Publisher(client, keys, print, Recorder(), cache_ttl=60, min_interval=10)
        assert not publisher.cache({"version": "1-1"})
        assert not publisher.publish({"version": "1-1"}, scheduled=True).published
        log = SharedDeliveryLog(client, keys, clock, lambda _: None)
        deliveries = DeliveryLog(Recorder(), clock)
        deliveries.delivery(200, 0.1)
        log.post(deliveries.record)
        book = IncidentBook(IncidentStore(mongo()), client, keys)
        assert DeliveryStatus(log, deliveries, book, clock).current().failing_since is None
        assert list(client.scan_iter()) == []


class TestTwoInstallations:
    def test_both_lead_and_neither_sees_the_other(self, clock: ManualClock) -> None:
        client, other = fakeredis.FakeRedis(), Keyspace(lambda: "staging-00", clock)
        leases = [Lease(client, keys, clock, lambda: 0, Recorder()) for keys in (KEYS, other)]
        assert all(lease.tick() for lease in leases)
        sent: list[Any] = []
        for keys in (KEYS, other):
            Publisher(
                client, keys, lambda *told: sent.append(told), Recorder(),
                cache_ttl=60, min_interval=10,
            ).publish({"version": "1-1"}, scheduled=False)  # fmt: skip
        assert [told[0]["installation"] for told in sent] == [INSTALLATION, "staging-00"]
        assert all(b":" in key for key in client.scan_iter())

    def test_anothers_snapshot_is_refused(self) -> None:
        whole = {
            **build(readings_of(), 1_794_746_096_000),
            "refresh": {"computeMs": 0.0, "dbQueries": 0},
            "version": "1-1", "installation": INSTALLATION,
        }  # fmt: skip
        kept = cached_from_json(msgspec.json.encode(whole), INSTALLATION)
        assert kept.order == (1, 1)
        assert b"installation" not in kept.tail
        for odd in (
            {**whole, "installation": "other-00"},
            {**whole, "installation": None},
            {name: value for name, value in whole.items() if name != "totalDMsSent"},
            {"version": "999999999999999-1", "computedAt": "2026-11-26T00:00:00Z"},
        ):
            with pytest.raises(Malformed):
                cached_from_json(msgspec.json.encode(odd), INSTALLATION)
        with pytest.raises(Malformed):
            cached_from_json(b"\xff\xfe{", INSTALLATION)


def _hash(client: redis.Redis, key: str) -> None:
    client.hset(key, "a", "1")


def _list(client: redis.Redis, key: str) -> None:
    client.rpush(key, "a")


def _text(client: redis.Redis, key: str) -> None:
    client.set(key, "x")


FOREIGN = [_hash, _list, _text]
Put = Callable[[redis.Redis, str], None]


@pytest.mark.parametrize("put", FOREIGN)
class TestForeignValues:
    def test_the_lease_is_had_all_the_same(self, put: Put, clock: ManualClock) -> None:
        client = fakeredis.FakeRedis()
        put(client, LEASE_KEY)
        put(client, TERM_KEY)
        lease = Lease(client, KEYS, clock, lambda: 7, Recorder())
        assert [lease.tick(), lease.tick()] == [False, True]
        assert lease.term == 8

    def test_the_cache_is_written_over(self, put: Put) -> None:
        client = fakeredis.FakeRedis()
        put(client, CACHE_KEY)
        publisher = Publisher(client, KEYS, print, Recorder(), cache_ttl=60, min_interval=10)
        assert publisher.cache({"version": "1-1"})
        assert b"1-1" in (client.get(CACHE_KEY) or b"")

    def test_the_publish_limit_ends(self, put: Put) -> None:
        client = fakeredis.FakeRedis()
        put(client, LAST_PUBLISH_KEY)
        publisher = Publisher(
            client, KEYS, lambda *_: None, Recorder(), cache_ttl=60, min_interval=10
        )
        assert publisher.publish({"version": "1-1"}, scheduled=False).published
        assert publisher.publish({"version": "1-2"}, scheduled=False).rate_limited

    def test_the_stream_is_recreated(self, put: Put) -> None:
        client = fakeredis.FakeRedis()
        put(client, KEYS.key("admin:stats:updated"))
        publisher = Publisher(
            client, KEYS, print, Recorder(), cache_ttl=60, min_interval=10, transport="stream"
        )
        told = [publisher.publish({"version": "1-1"}, scheduled=True) for _ in range(2)]
        assert [one.published for one in told] == [False, True]

    def test_the_deliveries_are_reported_again(self, put: Put, clock: ManualClock) -> None:
        client = fakeredis.FakeRedis()
        put(client, KEYS.key(DELIVERIES))
        log = SharedDeliveryLog(client, KEYS, clock, lambda _: None)
        for _ in range(2):
            log.post(Record(acknowledged=clock.now_ms()))
        assert log.read().acknowledged == clock.now_ms()


def test_a_cached_version_of_anothers_does_not_keep_ours_out() -> None:
    client = fakeredis.FakeRedis()
    client.set(CACHE_KEY, b'{"version":"999999999999999-1","computedAt":"2026-11-26T00:00:00Z"}')
    publisher = Publisher(client, KEYS, print, Recorder(), cache_ttl=60, min_interval=10)
    publisher.cache({"version": "1-1"})
    assert b'"1-1"' in (client.get(CACHE_KEY) or b"")


@pytest.mark.parametrize("odd", ["abc", "1e300", "-5", "nan", "inf", ""])
def test_what_is_no_term_is_passed_by(odd: str, clock: ManualClock) -> None:
    client = fakeredis.FakeRedis()
    client.set(TERM_KEY, odd)
    lease = Lease(client, KEYS, clock, lambda: 7, Recorder())
    assert lease.tick()
    assert lease.term == 8


GARBAGE = [
    b"\xff{",
    b"x",
    b"[]",
    b'{"acknowledged":"x"}',
    b'{"acknowledged":1e30}',
    b'{"failed":-1}',
]
OTHER_RECORDS = [
    b'{"since":1,"text":"as an older version kept it","told":true}',
    b'{"id":"webhook_silent","name":"webhook_silent","since":1e15,"text":"x"}',
    b'{"id":"webhook_silent","name":"webhook_silent","since":-1,"text":""}',
    b'{"id":"another","name":"webhook_silent","since":1,"text":""}',
]


@pytest.mark.parametrize("odd", GARBAGE)
def test_garbage_among_the_deliveries_affects_nothing_else(odd: bytes, clock: ManualClock) -> None:
    client = fakeredis.FakeRedis()
    log = SharedDeliveryLog(client, KEYS, clock, lambda _: None)
    log.post(Record(acknowledged=clock.now_ms()))
    client.hset(KEYS.key(DELIVERIES), "other", odd)
    assert log.read() == Record(acknowledged=clock.now_ms())
    assert client.hlen(KEYS.key(DELIVERIES)) == 1


@pytest.mark.parametrize("odd", [*GARBAGE, *OTHER_RECORDS])
def test_garbage_among_the_incidents_is_none(odd: bytes, clock: ManualClock) -> None:
    client = fakeredis.FakeRedis()
    client.hset(KEYS.key(INCIDENTS), SILENT, odd)
    deliveries = DeliveryLog(Recorder(), clock)
    log = SharedDeliveryLog(client, KEYS, clock, lambda _: None)
    book = IncidentBook(IncidentStore(mongo()), client, KEYS)
    assert DeliveryStatus(log, deliveries, book, clock).current().silence is None
    assert book.pending() == []
    assert client.hlen(KEYS.key(INCIDENTS)) == 0
