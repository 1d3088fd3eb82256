"""What the dashboard learns about deliveries that fail or do not arrive."""

from __future__ import annotations

import fakeredis
import redis

from dmstats.core.clock import ManualClock, rfc3339
from dmstats.db.incidents import IncidentRecord, IncidentStore, record_id
from dmstats.ops.delivery_log import DeliveryLog, Record, SharedDeliveryLog
from dmstats.ops.delivery_status import CACHE_SECONDS, DeliveryStatus, Warnings
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.incidents import SILENT
from tests.keyspace import KEYS
from tests.service.admin_site import mock_mongo

MINUTE_MS = 60_000


class Unheard:
    def delivery(self, status: int, seconds: float) -> None: ...
    def events_ignored(self, events: int) -> None: ...
    def object_ignored(self, name: str, events: int) -> None: ...


def book_on(client: redis.Redis) -> IncidentBook:
    return IncidentBook(IncidentStore(mock_mongo()), client, KEYS)


def status_with(
    clock: ManualClock, client: redis.Redis
) -> tuple[DeliveryStatus, DeliveryLog, SharedDeliveryLog]:
    deliveries = DeliveryLog(Unheard(), clock)
    own = SharedDeliveryLog(client, KEYS, clock, lambda _: None)
    return (
        DeliveryStatus(own, deliveries, book_on(client), clock),
        deliveries,
        SharedDeliveryLog(client, KEYS, clock, print),
    )


def test_it_works(clock: ManualClock) -> None:
    delivery_status, deliveries, _ = status_with(clock, fakeredis.FakeRedis())
    deliveries.delivery(200, 0.1)
    assert delivery_status.current() == Warnings()


def test_a_lasting_failure_is_reported_with_metas_deadline(
    clock: ManualClock,
) -> None:
    delivery_status, deliveries, _ = status_with(clock, fakeredis.FakeRedis())
    since = clock.now_ms()
    deliveries.delivery(503, 0.1)
    assert delivery_status.current() == Warnings()
    clock.advance(61)
    warned = delivery_status.current()
    assert warned.failing_since == rfc3339(since)
    assert warned.disabled_at == rfc3339(since + 60 * MINUTE_MS)
    deliveries.delivery(200, 0.1)
    clock.advance(CACHE_SECONDS)
    assert delivery_status.current() == Warnings()


def test_another_workers_success_counts_as_well(clock: ManualClock) -> None:
    delivery_status, deliveries, other = status_with(clock, fakeredis.FakeRedis())
    deliveries.delivery(503, 0.1)
    clock.advance(120)
    other.post(Record(acknowledged=clock.now_ms()))
    assert delivery_status.current() == Warnings()


def test_a_silence_is_reported_in_the_watchdogs_words(clock: ManualClock) -> None:
    client = fakeredis.FakeRedis()
    now = clock.now_ms()
    book_on(client).save(IncidentRecord(record_id(now, SILENT), SILENT, "No DM.", now))
    warned = status_with(clock, client)[0].current()
    assert (warned.silence, warned.silent_since) == ("No DM.", rfc3339(clock.now_ms()))


def test_without_redis_it_uses_its_own_deliveries(clock: ManualClock) -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    delivery_status, deliveries, _ = status_with(clock, fakeredis.FakeRedis(server=server))
    deliveries.delivery(503, 0.1)
    clock.advance(61)
    assert delivery_status.current().failing_since
