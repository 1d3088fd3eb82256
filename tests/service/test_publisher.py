from __future__ import annotations

from pathlib import Path
from typing import Any

import fakeredis
import msgspec
import pytest

import dmstats
from dmstats.snapshot.publisher import Publication, Publisher
from tests.keyspace import CACHE_KEY, CHANNEL, INSTALLATION, KEYS, LAST_PUBLISH_KEY
from tests.recorder import Recorder

Sent = list[tuple[dict[str, Any], str]]


def snapshot(version: str) -> dict[str, Any]:
    return {"version": version, "computedAt": "2026-11-15T12:34:56.000Z"}


def marked(version: str) -> dict[str, Any]:
    return {**snapshot(version), "installation": INSTALLATION}


@pytest.fixture
def sent() -> Sent:
    return []


@pytest.fixture
def server() -> fakeredis.FakeServer:
    return fakeredis.FakeServer()


@pytest.fixture
def client(server: fakeredis.FakeServer) -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis(server=server)


@pytest.fixture
def publisher(client: fakeredis.FakeRedis, sent: Sent) -> Publisher:
    return make(client, sent)


def cached(client: fakeredis.FakeRedis) -> Any:
    return msgspec.json.decode(client.get(CACHE_KEY) or b"")


def make(client: fakeredis.FakeRedis, sent: Sent, **options: Any) -> Publisher:
    def send(data: dict[str, Any], version: str) -> None:
        sent.append((data, version))

    return Publisher(client, KEYS, send, Recorder(), cache_ttl=60, min_interval=10, **options)


def test_it_works(publisher: Publisher, client: fakeredis.FakeRedis, sent: Sent) -> None:
    assert publisher.cache(snapshot("1-1"))
    assert publisher.publish(snapshot("1-1"), scheduled=True) == Publication(published=True)
    assert sent == [(marked("1-1"), "1-1")]
    assert cached(client) == marked("1-1")
    assert 58 <= client.ttl(CACHE_KEY) <= 60


def test_the_job_always_publishes(publisher: Publisher, sent: Sent) -> None:
    for number in range(3):
        assert publisher.publish(snapshot(f"1-{number}"), scheduled=True).published
    assert len(sent) == 3


def test_everybody_else_keeps_the_limit(
    publisher: Publisher, client: fakeredis.FakeRedis, sent: Sent
) -> None:
    assert publisher.retry_after() == 0
    assert publisher.publish(snapshot("1-1"), scheduled=True).published
    limited = publisher.publish(snapshot("1-2"), scheduled=False)
    assert (limited.published, limited.rate_limited) == (False, True)
    assert 9 < limited.retry_after <= 10
    assert 9 < publisher.retry_after() <= 10
    client.delete(LAST_PUBLISH_KEY)
    assert publisher.publish(snapshot("1-3"), scheduled=False).published
    assert publisher.publish(snapshot("1-4"), scheduled=False).rate_limited
    assert [version for _, version in sent] == ["1-1", "1-3"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("2-9", "2-10", "2-10"),
        ("2-10", "2-9", "2-10"),
        ("3-1", "2-99", "3-1"),
        ("2-99", "3-1", "3-1"),
        ("2-9", "2-9", "2-9"),
    ],
)
def test_an_older_version_does_not_replace_a_newer(
    publisher: Publisher, client: fakeredis.FakeRedis, first: str, second: str, kept: str
) -> None:
    publisher.cache(snapshot(first))
    publisher.cache(snapshot(second))
    assert cached(client)["version"] == kept


def test_what_is_no_snapshot_is_replaced(publisher: Publisher, client: fakeredis.FakeRedis) -> None:
    client.set(CACHE_KEY, "rubbish")
    publisher.cache(snapshot("1-1"))
    assert cached(client)["version"] == "1-1"


def test_without_redis_nothing_is_raised(
    publisher: Publisher, server: fakeredis.FakeServer
) -> None:
    server.connected = False
    assert not publisher.cache(snapshot("1-1"))
    assert publisher.publish(snapshot("1-1"), scheduled=True) == Publication(published=False)
    assert publisher.publish(snapshot("1-1"), scheduled=False) == Publication(published=False)
    assert publisher.retry_after() == 0
    publisher.drop_published()


def test_the_stream_transport_appends(client: fakeredis.FakeRedis, sent: Sent) -> None:
    publisher = make(client, sent, transport="stream")
    assert publisher.publish(snapshot("1-1"), scheduled=True).published
    assert sent == []
    [(_, fields)] = client.xrange(CHANNEL) or []
    assert fields
    assert msgspec.json.decode(fields[b"message"]) == {
        "data": marked("1-1"),
        "type": "stats",
        "id": "1-1",
    }
    publisher.drop_published()
    assert client.xrange(CHANNEL) == []


def test_the_channel_is_named_in_one_place_only() -> None:
    naming = [
        path.name
        for path in Path(dmstats.__file__).parent.rglob("*.py")
        if "admin:stats:updated" in path.read_text(encoding="utf-8")
    ]
    assert naming == ["constants.py"]
