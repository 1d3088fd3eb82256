from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import fakeredis
import gevent
import msgspec
import pytest
import redis
from flask_sse import Message
from gevent.queue import Queue

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable, Unavailable
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.hub import Hub
from dmstats.sse.messages import Event, stats_event
from tests.keyspace import KEYS
from tests.recorder import Recorder


@dataclass(frozen=True)
class Figures:
    order: tuple[int, int]

    @property
    def version(self) -> str:
        return "{}-{}".format(*self.order)

    @property
    def body(self) -> bytes:
        return msgspec.json.encode({"version": self.version})


class ScriptedFeed:
    """Says what the test tells it; an exception is a lost connection."""

    def __init__(self) -> None:
        self.script: Queue = Queue()

    def listen(self) -> Iterator[bytes | str | None]:
        while True:
            said = self.script.get()
            if isinstance(said, Exception):
                raise said
            yield said


class Harness:
    """A hub with everything around it played by the test."""

    def __init__(
        self, clock: ManualClock, *, heartbeat: float = 60.0, max_streams: int = 9
    ) -> None:
        self.feed = ScriptedFeed()
        self.metrics = Recorder()
        self.clock = clock
        self.newest: Figures | None = Figures((1, 1))
        self.shared: list[frozenset[str]] = []
        self.hub = Hub(
            fakeredis.FakeRedis(), KEYS, self.latest, self.accept, clock, self.metrics,
            max_streams=max_streams, heartbeat_seconds=heartbeat, share=self.share,
        )  # fmt: skip
        self.hub._feed = self.feed

    def latest(self) -> Figures:
        if self.newest is None:
            raise StoreUnavailable
        return self.newest

    def share(self, figures: Any, parts: frozenset[str]) -> Any:
        self.shared.append(parts)
        body = f"only {'+'.join(sorted(parts))} of {figures.version}".encode()
        return SimpleNamespace(version=figures.version, order=figures.order, body=body)

    def accept(self, snapshot: object) -> Figures | None:
        if not isinstance(snapshot, dict):
            raise ValueError("no snapshot")  # noqa: TRY004 - as the reader does
        term, seq = snapshot["version"].split("-")
        return Figures((int(term), int(seq)))

    def publish(self, version: str) -> None:
        message = Message({"version": version}, type="stats", id=version)
        self.feed.script.put(msgspec.json.encode(message.to_dict()))

    def connect(self) -> None:
        self.feed.script.put(None)
        settle()


def settle() -> None:
    """Let every greenlet that can run do so."""
    for _ in range(10):
        gevent.sleep(0)


def taken(stream: GreenletStream) -> list[Event]:
    events = []
    while event := stream.poll():
        events.append(event)
    return events


def versions(stream: GreenletStream) -> list[str | None]:
    return [event.id for event in taken(stream) if event.type == "stats"]


@pytest.fixture
def harness(clock: ManualClock) -> Iterator[Harness]:
    harness = Harness(clock)
    harness.hub.start()
    yield harness
    harness.hub.stop()


def test_it_works(harness: Harness) -> None:
    harness.connect()
    one, other = harness.hub.subscribe(), harness.hub.subscribe()
    harness.publish("1-2")
    settle()
    [event] = taken(one)
    assert taken(other) == [event]
    assert (event.type, event.id) == ("stats", "1-2")
    assert harness.hub.viewers == 2


def test_the_wire_format_is_flask_sses() -> None:
    event = stats_event(Figures((1, 2)))
    assert str(event) == str(Message('{"version":"1-2"}', type="stats", id="1-2"))
    assert event.encoded == str(event).encode()


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1e"])
def test_only_a_line_feed_ends_a_line(separator: str) -> None:
    told = str(Event("stats", f"a{separator}b"))
    assert told == f"event:stats\ndata:a{separator}b\n\n"


def test_what_was_missed_comes_with_the_connection(harness: Harness) -> None:
    stream = harness.hub.subscribe()
    harness.newest = Figures((2, 5))
    harness.connect()
    assert versions(stream) == ["2-5"]
    harness.newest = Figures((2, 9))
    harness.feed.script.put(redis.ConnectionError("gone"))
    harness.feed.script.put(None)
    gevent.sleep(0.3)
    assert versions(stream) == ["2-9"]


def test_versions_do_not_go_back(harness: Harness) -> None:
    harness.connect()
    stream = harness.hub.subscribe()
    seen = []
    for version in ("1-5", "1-4", "1-5", "0-9", "2-1", "1-99"):
        harness.publish(version)
        settle()
        seen += versions(stream)
    assert seen == ["1-5", "2-1"]


@pytest.mark.parametrize(
    "message",
    [
        b"rubbish",
        b"\xff",
        b"[]",
        b'{"type":"stats"}',
        b'{"type":"stats","data":"x"}',
        b'{"data":{}}',
    ],
)
def test_foreign_messages_are_counted_and_ignored(harness: Harness, message: bytes) -> None:
    harness.connect()
    stream = harness.hub.subscribe()
    harness.feed.script.put(message)
    harness.publish("1-2")
    settle()
    assert versions(stream) == ["1-2"]
    assert harness.metrics.seen["foreign_message"] == 1


def test_losing_and_regaining_redis_is_told_at_once(harness: Harness) -> None:
    harness.connect()
    stream = harness.hub.subscribe()
    harness.feed.script.put(redis.ConnectionError("gone"))
    settle()
    [lost] = taken(stream)
    assert lost.type == "heartbeat"
    beat = msgspec.json.decode(lost.data)
    assert beat == {"at": "2026-11-15T12:34:56.000Z", "live": False, "version": "1-1"}
    harness.feed.script.put(None)
    gevent.sleep(0.3)
    [regained] = taken(stream)
    assert msgspec.json.decode(regained.data)["live"] is True


def test_an_unexpected_error_does_not_end_the_subscription(harness: Harness) -> None:
    harness.connect()
    stream = harness.hub.subscribe()
    harness.feed.script.put(RuntimeError("on purpose"))
    harness.feed.script.put(None)
    harness.publish("1-2")
    gevent.sleep(0.3)
    assert versions(stream) == ["1-2"]


def test_over_the_cap_it_is_unavailable(harness: Harness) -> None:
    subscribers = [harness.hub.subscribe() for _ in range(9)]
    with pytest.raises(Unavailable) as refused:
        harness.hub.subscribe()
    assert refused.value.retry_after
    harness.hub.unsubscribe(subscribers[0])
    harness.hub.unsubscribe(subscribers[0])
    harness.hub.subscribe()
    assert harness.metrics.seen["stream_refused"] == 1


def test_stopping_ends_every_stream(harness: Harness) -> None:
    waiting = [gevent.spawn(harness.hub.subscribe().take) for _ in range(3)]
    settle()
    harness.hub.stop()
    assert [stream.get(timeout=5) for stream in waiting] == [None] * 3
    with pytest.raises(Unavailable):
        harness.hub.subscribe()


def test_a_stream_of_some_parts_never_has_the_others(harness: Harness) -> None:
    """The parts are made once for all streams that have them."""
    some, other = frozenset({"b", "a"}), frozenset({"c"})
    shared = [harness.hub.subscribe("link:1", parts) for parts in (some, some, other)]
    whole = harness.hub.subscribe()
    harness.connect()
    assert [event.data for event in taken(shared[0]) if event.order] == ["only a+b of 1-1"]
    harness.publish("1-2")
    settle()
    for stream, data in zip(shared, ("a+b", "a+b", "c"), strict=True):
        assert [each.data for each in taken(stream) if each.order][-1:] == [f"only {data} of 1-2"]
    assert versions(whole)[-1] == "1-2"
    assert not any("only" in event.data for event in taken(whole))
    assert sorted(map(len, harness.shared)) == [1, 1, 2, 2]


class TestHeartbeat:
    @pytest.fixture
    def harness(self, clock: ManualClock) -> Iterator[Harness]:
        harness = Harness(clock, heartbeat=0.05)
        harness.hub.start()
        harness.connect()
        yield harness
        harness.hub.stop()

    def test_it_comes_regularly_and_names_the_newest(self, harness: Harness) -> None:
        stream = harness.hub.subscribe()
        harness.newest = Figures((1, 7))
        gevent.sleep(0.12)
        [beat] = taken(stream)
        assert (beat.type, beat.id) == ("heartbeat", None)
        assert msgspec.json.decode(beat.data)["version"] == "1-7"

    def test_it_comes_without_any_figures(self, harness: Harness) -> None:
        stream = harness.hub.subscribe()
        harness.newest = None
        assert stream.take()

    def test_a_client_that_does_not_read_is_dropped(self, harness: Harness) -> None:
        stream = harness.hub.subscribe()

        def write() -> None:
            stream.take()
            gevent.sleep(60)

        writer = gevent.spawn(write)
        settle()
        harness.publish("1-2")
        settle()
        harness.clock.advance(0.09)
        gevent.sleep(0.1)
        assert not writer.dead
        harness.clock.advance(0.02)
        writer.join(5)
        assert writer.dead
        assert harness.hub.viewers == 0
        assert harness.metrics.seen["stream_dropped"] == 1


class TestSessions:
    @pytest.fixture
    def ended(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        """What a test puts in here has ended."""
        gone: set[str] = set()
        monkeypatch.setattr("dmstats.sse.hub.SESSION_CHECK_SECONDS", 0.02)
        harness.hub._ended = lambda keys: keys & gone
        harness.hub.stop()
        harness.hub.start()
        return gone

    def test_the_streams_of_a_session_end_with_it_and_no_other(
        self, harness: Harness, ended: set[str]
    ) -> None:
        stolen = [harness.hub.subscribe("stolen") for _ in range(3)]
        mine, script = harness.hub.subscribe("mine"), harness.hub.subscribe()
        gevent.sleep(0.06)
        assert not any(stream.closed for stream in (*stolen, mine, script))
        ended.update({"stolen", ""})
        gevent.sleep(0.06)
        assert all(stream.closed for stream in stolen)
        assert not mine.closed
        assert not script.closed, "the API token has no session that could end"

    def test_an_outage_ends_no_stream(self, harness: Harness, ended: set[str]) -> None:
        def unknown(_: set[str]) -> set[str]:
            raise StoreUnavailable

        harness.hub._ended = unknown
        stream = harness.hub.subscribe("mine")
        gevent.sleep(0.06)
        assert not stream.closed
        harness.hub._ended = lambda keys: keys
        gevent.sleep(0.06)
        assert stream.closed

    def test_without_sessions_nothing_is_asked(self, harness: Harness, ended: set[str]) -> None:
        asked: list[set[str]] = []

        def ended_of(keys: set[str]) -> set[str]:
            asked.append(keys)
            return keys

        harness.hub._ended = ended_of
        harness.hub.subscribe()
        gevent.sleep(0.06)
        assert asked == []
