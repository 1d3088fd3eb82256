"""The watchdog on real databases: each incident is reported once, to every configured receiver."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dmstats.core.clock import DAY_MS, ManualClock, hour_start, to_datetime
from dmstats.db.client import Mongo
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.delivery_store import DeliveryStore, EventName
from dmstats.db.incidents import IncidentStore
from dmstats.ops.alerts import AlertSender
from dmstats.ops.delivery_log import DeliveryLog, SharedDeliveryLog
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.notifier import Channel, JsonChannel, Notice, Outcome
from dmstats.ops.watchdog import Watchdog
from tests.keyspace import KEYS
from tests.recorder import Recorder
from tests.servers import free_port

pytestmark = pytest.mark.live


class Listener(Channel):
    """Remembers what it was told; ``deaf`` for as long as it is not there."""

    key, label = "listener", "listener"

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.deaf = False

    def check(self) -> Outcome:
        return Outcome(told=True)

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        if not self.deaf:
            self.heard.append((notice.incident, notice.state))
            self.texts.append(notice.text)
        return Outcome(told=not self.deaf, problem="deaf" if self.deaf else "")


class Post:
    """One installation: workers whose deliveries succeed or fail, and the leader's watchdog."""

    def __init__(self, mongo: Mongo, client: redis.Redis, clock: ManualClock) -> None:
        self.mongo, self.client, self.clock = mongo, client, clock
        self.metrics, self.listener = Recorder(), Listener()
        self.workers = [DeliveryLog(self.metrics, clock) for _ in range(2)]
        self.delivery_logs = [
            SharedDeliveryLog(client, KEYS, clock, self.metrics.redis_failed) for _ in range(2)
        ]
        self.canaries_lost = 0
        self.watchdog = self.leader()

    def leader(self, *channels: Channel) -> Watchdog:
        book = IncidentBook(IncidentStore(self.mongo), self.client, KEYS)
        return Watchdog(
            self.delivery_logs[0],
            Baseline(self.mongo),
            SnapshotStore(self.mongo),
            book,
            AlertSender(channels or [self.listener], book, self.client, KEYS, self.clock),
            self.clock,
            self.metrics,
            lambda: self.canaries_lost,
            DeliveryStore(self.mongo),
        )

    def deliver(self, worker: int, status: int) -> None:
        self.workers[worker].delivery(status, 0.01)

    def look(self, minutes: float = 0) -> list[tuple[str, str]]:
        """Let time pass, look twice, and say what was told."""
        self.clock.advance(minutes * 60)
        for shared_delivery_log, worker in zip(self.delivery_logs, self.workers, strict=True):
            shared_delivery_log.post(worker.record)
        self.listener.heard.clear()
        self.watchdog.tick()
        self.watchdog.tick()
        return list(self.listener.heard)

    def fail_for(self, minutes: int) -> list[tuple[str, str]]:
        for _ in range(minutes):
            self.deliver(0, 503)
            self.clock.advance(60)
        self.deliver(0, 503)
        return self.look()


@pytest.fixture
def post(mongo: Mongo, redis_client: redis.Redis, clock: ManualClock) -> Post:
    return Post(mongo, redis_client, clock)


def test_it_works(post: Post) -> None:
    post.deliver(1, 200)
    assert post.look(1) == []
    assert post.fail_for(6) == [("deliveries_failing", "open")]
    assert "disable the webhook in 5" in post.listener.texts[-1]
    assert post.fail_for(10) == []
    post.deliver(1, 200)
    assert post.look(1) == [("deliveries_failing", "over")]
    assert post.look(1) == []


def test_one_worker_that_acknowledges_keeps_it_quiet(post: Post) -> None:
    for _ in range(10):
        post.deliver(0, 503)
        post.deliver(1, 200)
        assert post.look(1) == []


def test_what_the_sender_does_wrong_is_no_incident(post: Post) -> None:
    for _ in range(10):
        post.deliver(0, 401)
        assert post.look(1) == []


def test_the_next_leader_does_not_tell_again(post: Post) -> None:
    assert post.fail_for(6) == [("deliveries_failing", "open")]
    post.watchdog = post.leader()
    assert post.look(0) == []


def test_an_incident_is_logged_once_and_sent_when_the_receiver_listens(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    post.listener.deaf = True
    assert post.fail_for(6) == []
    post.listener.deaf = False
    assert post.look(0.5) == [("deliveries_failing", "open")]
    assert [record.message for record in caplog.records].count("incident") == 1
    assert post.metrics.last["incident"] == ("drift", False)


def traffic(post: Post, weeks: list[int], now: int) -> None:
    for back, dms in enumerate(weeks):
        at = now - back * 7 * DAY_MS - 10 * 60_000
        minute = (at - hour_start(at)) // 60_000
        post.mongo.db["dmstats_hours"].insert_one(
            {"_id": to_datetime(hour_start(at)), "minutes": {str(minute): {"received": dms}}}
        )


def test_silence_against_the_last_weeks(post: Post) -> None:
    traffic(post, [0, 90, 110, 100, 100], post.clock.now_ms())
    assert post.look(0) == [("webhook_silent", "open")]


def test_no_silence_where_something_came(post: Post) -> None:
    traffic(post, [1, 90, 110, 100, 100], post.clock.now_ms())
    assert post.look(0) == []


def test_drift_is_reported(post: Post) -> None:
    snapshots = SnapshotStore(post.mongo)
    snapshots.save({"audit": {"at": "x", "drift": 3}}, post.clock.now_ms(), term=1)
    assert post.look(0) == [("drift", "open")]
    snapshots.save({"audit": {"at": "x", "drift": 0}}, post.clock.now_ms(), term=1)
    assert post.look(1) == [("drift", "over")]


def test_a_new_event_name_is_reported_once(post: Post) -> None:
    store = DeliveryStore(post.mongo)
    post.watchdog = post.leader()
    now = post.clock.now_ms()
    store.see([EventName("payment", True, now, now, ("amount",))])
    assert post.look(0) == [("new_event", "open")]
    assert "has sent `payment`" in post.listener.texts[-1]
    assert "amount" in post.listener.texts[-1]
    store.see([EventName("payment", True, now + 1, now + 1, ("currency",))])
    assert post.look(1) == []
    path = "entry[].messaging[].message.mid"
    store.see([EventName(path, False, now, now), EventName("order", True, now, now)])
    assert post.look(0) == [("new_event", "open")] * 2
    # Killed between the alert and the note that it was reported.
    post.mongo.db["dmstats_event_names"].update_many({}, {"$unset": {"reported": True}})
    post.watchdog = post.leader()
    assert post.look(1) == []
    names = [record.name for record in IncidentStore(post.mongo).since(0, 10)]
    assert names == ["new_event"] * 3
    assert IncidentStore(post.mongo).pending() == []


def test_lost_canaries_are_reported(post: Post) -> None:
    for lost, told in ((2, []), (3, ["open"]), (4, []), (0, ["over"])):
        post.canaries_lost = lost
        assert post.look(1) == [("canaries_lost", state) for state in told]


def test_without_redis_it_waits(mongo: Mongo, clock: ManualClock) -> None:
    with redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as nowhere:
        post = Post(mongo, nowhere, clock)
        post.deliver(0, 503)
        assert post.look(10) == []
        assert post.metrics.seen["redis_failed"] >= 2


@pytest.fixture
def chat() -> Iterator[tuple[str, list[Any]]]:
    """A chat's incoming webhook that takes the second attempt."""
    posted: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if len(posted) == 1 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook/secret-part", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_notices_arrive_as_json(
    post: Post, chat: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    url, posted = chat
    post.watchdog = post.leader(JsonChannel(url, "key", "chat"))
    post.fail_for(6)
    post.look(0.5)
    assert [notice["state"] for notice in posted] == ["open", "open"]
    assert set(posted[1]) == {"incident", "state", "text", "at"}
    assert "status 500" in str([vars(record) for record in caplog.records])
    assert "secret-part" not in str([vars(record) for record in caplog.records])


def test_an_address_that_is_not_there_is_no_error() -> None:
    channel = JsonChannel(f"http://127.0.0.1:{free_port()}/x", "key", "chat")
    assert not channel.notify(Notice("drift", "open", "text", "now"), "1").told
