from __future__ import annotations

from collections.abc import Callable

import fakeredis
import pytest
import redis

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.snapshot.lease import Lease
from tests.keyspace import KEYS, LEASE_KEY, TERM_KEY
from tests.recorder import Recorder

Make = Callable[..., Lease]


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def lease(server: fakeredis.FakeServer, clock: ManualClock) -> Make:
    def make(last_term: Callable[[], int] = lambda: 0, metrics: Recorder | None = None) -> Lease:
        client = fakeredis.FakeRedis(server=server)
        return Lease(client, KEYS, clock, last_term, metrics or Recorder())

    return make


def elapse(server: fakeredis.FakeServer, client: redis.Redis, seconds: float) -> None:
    """Shorten the lease by ``seconds``, as time does: fakeredis lives by the real clock."""
    left = client.pttl(LEASE_KEY)
    client.pexpire(LEASE_KEY, max(0, int(left) - round(seconds * 1000)))


def test_it_works(lease: Make) -> None:
    one, other = lease(), lease()
    assert one.tick()
    assert not other.tick()
    assert (one.held, one.term) == (True, 1)
    one.release()
    assert not one.held
    assert other.tick()
    assert other.term == 2


def test_it_stays_with_its_holder(
    lease: Make, server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    one, other, client = lease(), lease(), fakeredis.FakeRedis(server=server)
    one.tick()
    for _ in range(20):
        clock.advance(5)
        elapse(server, client, 5)
        assert one.tick()
        assert not other.tick()
    assert one.term == 1


def test_it_renews_no_more_often_than_needed(
    lease: Make, server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    one, client = lease(), fakeredis.FakeRedis(server=server)
    one.tick()
    elapse(server, client, 14)
    clock.advance(14)
    one.tick()
    assert client.pttl(LEASE_KEY) < 32_000
    clock.advance(1)
    one.tick()
    assert client.pttl(LEASE_KEY) > 44_000


def test_a_silent_holder_stops_leading_by_its_own_clock(
    lease: Make, server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    one, other, client = lease(), lease(), fakeredis.FakeRedis(server=server)
    one.tick()
    server.connected = False
    clock.advance(30)
    assert one.tick(), "Redis is away, so no other worker can have taken it"
    clock.advance(15)
    assert not one.held
    assert not one.tick()
    server.connected = True
    client.delete(LEASE_KEY)
    assert other.tick()
    assert not one.tick()


def test_an_empty_redis_does_not_bring_old_terms_back(
    lease: Make, server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    one, client = lease(lambda: 41), fakeredis.FakeRedis(server=server)
    one.tick()
    assert one.term == 42
    client.flushall()
    clock.advance(15)
    assert one.tick()
    assert one.term == 42, "nothing was written under 42 yet"
    assert client.get(TERM_KEY) == b"42"


def test_without_the_store_no_worker_leads(lease: Make, server: fakeredis.FakeServer) -> None:
    def gone() -> int:
        raise StoreUnavailable

    assert not lease(gone).tick()
    assert fakeredis.FakeRedis(server=server).get(LEASE_KEY) is None
    assert lease().tick()


def test_stepping_down_lets_another_lead(lease: Make) -> None:
    metrics = Recorder()
    one, other = lease(metrics=metrics), lease()
    one.tick()
    one.step_down()
    assert not one.held
    assert other.tick()
    assert metrics.seen["lease_changed"] == 2


def test_a_lost_lease_is_noticed_at_the_renewal(
    lease: Make, server: fakeredis.FakeServer, clock: ManualClock
) -> None:
    one, other, client = lease(), lease(), fakeredis.FakeRedis(server=server)
    one.tick()
    client.delete(LEASE_KEY)
    other.tick()
    clock.advance(15)
    assert not one.tick()
    assert other.held
    assert other.term > one.term
