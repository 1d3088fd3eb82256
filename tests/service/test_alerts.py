"""Alerts are told once each, in order, over outages of either database and changes of leader."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest

from dmstats.core.clock import DAY_MS, ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.client import Mongo
from dmstats.db.incidents import IncidentRecord, IncidentStore, merged, record_id
from dmstats.ops.alerts import AlertSender, announce, next_due, send_test
from dmstats.ops.incident_book import KEY, IncidentBook
from dmstats.ops.notifier import OPEN, OVER, Channel, Notice, Outcome, channels_of
from tests.keyspace import KEYS
from tests.service.admin_site import mock_mongo

MINUTE = 60


class Chat(Channel):
    """Hears what it is told, unless ``outcomes`` has an answer for the next attempts."""

    def __init__(self, key: str = "chat") -> None:
        self.key = self.label = key
        self.heard: list[tuple[str, str]] = []
        self.outcomes: list[Outcome] = []
        self.attempts = 0

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        self.attempts += 1
        outcome = self.outcomes.pop(0) if self.outcomes else Outcome(told=True)
        if outcome.told:
            self.heard.append((notice.incident, notice.state))
        return outcome

    def check(self) -> Outcome:
        return Outcome(told=True)


class BrokenStore(IncidentStore):
    """MongoDB, which may be away."""

    away = False

    def save(self, record: IncidentRecord) -> None:
        self._refuse()
        super().save(record)

    def pending(self) -> list[IncidentRecord]:
        self._refuse()
        return super().pending()

    def _refuse(self) -> None:
        if self.away:
            raise StoreUnavailable


class Site:
    """One installation; :meth:`leader` is its next leader."""

    def __init__(self, clock: ManualClock, *chats: Chat) -> None:
        self.clock, self.chats = clock, chats or (Chat(),)
        self.mongo: Mongo = mock_mongo()
        self.redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.store = BrokenStore(self.mongo)
        self.leader()

    @property
    def chat(self) -> Chat:
        return self.chats[0]

    def leader(self, *chats: Chat) -> None:
        self.book = IncidentBook(self.store, self.redis, KEYS)
        self.sender = AlertSender(
            chats or self.chats, self.book, self.redis, KEYS, self.clock, claim_ms=1
        )

    def begin(self, name: str = "drift") -> IncidentRecord:
        now = self.clock.now_ms()
        record = IncidentRecord(record_id(now, name), name, "text", now)
        announce(record, OPEN, self.sender.channels, now)
        self.book.save(record)
        return record

    def end(self, record: IncidentRecord) -> None:
        (found,) = [each for each in self.book.pending() if each.id == record.id]
        found.ended = self.clock.now_ms()
        announce(found, OVER, self.sender.channels, found.ended)
        self.book.save(found)

    def send(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        self.sender.send(self.book.pending())

    def stored(self) -> list[dict[str, Any]]:
        return list(self.mongo.db["dmstats_incidents"].find())


@pytest.fixture
def site(clock: ManualClock) -> Site:
    return Site(clock)


def test_it_works(site: Site) -> None:
    record = site.begin()
    for _ in range(3):
        site.send()
    assert site.chat.heard == [("drift", "open")]
    site.clock.advance(5 * MINUTE)
    site.end(record)
    for _ in range(3):
        site.send()
    assert site.chat.heard == [("drift", "open"), ("drift", "over")]
    assert site.redis.hlen(KEYS.key(KEY)) == 0
    (stored,) = site.stored()
    assert stored["pending"] is False
    assert [alert["told"] > 0 for alert in stored["alerts"]] == [True, True]
    assert stored["expiresAt"] > stored["ended"]


def failure(problem: str = "status 503", retry_after: float | None = None) -> Outcome:
    return Outcome(told=False, problem=problem, retry_after=retry_after)


def test_what_failed_is_tried_again_later_and_later(site: Site) -> None:
    site.chat.outcomes = [failure()] * 4
    site.begin()
    tried: list[int] = []
    for second in range(300):
        site.send()
        if len(tried) < site.chat.attempts:
            tried.append(second)
        site.clock.advance(1)
    assert tried == [0, 15, 45, 105, 225]
    assert site.chat.heard == [("drift", "open")]


def test_the_server_says_when_to_try_again(site: Site) -> None:
    site.chat.outcomes = [failure("status 429", 90.0)]
    site.begin()
    site.send()
    site.send(89)
    assert site.chat.attempts == 1
    site.send(1)
    assert site.chat.heard == [("drift", "open")]


def test_back_off_has_a_limit_and_a_longer_wait_of_the_server_wins() -> None:
    assert next_due(1, None, 0) == 15_000
    assert next_due(40, None, 0) == 600_000
    assert next_due(1, 3600.0, 0) == 3_600_000
    assert next_due(3, 1.0, 0) == 60_000


def test_the_end_waits_for_the_beginning(site: Site) -> None:
    site.chat.outcomes = [failure()] * 2
    record = site.begin()
    site.send()
    site.end(record)
    site.send(15)
    assert site.chat.heard == []
    site.send(30)
    site.send()
    assert site.chat.heard == [("drift", "open"), ("drift", "over")]


def test_one_channel_that_fails_does_not_hold_up_the_other(clock: ManualClock) -> None:
    deaf, chat = Chat("deaf"), Chat("chat")
    deaf.outcomes = [failure()] * 100
    site = Site(clock, deaf, chat)
    site.begin()
    site.send()
    site.clock.advance(1)
    site.begin("canaries_lost")
    site.send()
    assert chat.heard == [("drift", "open"), ("canaries_lost", "open")]
    assert deaf.attempts == 1, "the server is away for both"


def test_an_alert_that_is_refused_does_not_hold_up_the_next(site: Site) -> None:
    site.chat.outcomes = [failure("status 400")]
    site.begin()
    site.clock.advance(1)
    site.begin("canaries_lost")
    site.send()
    assert site.chat.heard == [("canaries_lost", "open")]


def test_the_next_leader_continues(clock: ManualClock) -> None:
    one, two = Chat("one"), Chat("two")
    two.outcomes = [failure()]
    site = Site(clock, one, two)
    site.begin()
    site.send()
    site.leader()
    site.send(15)
    assert one.heard == two.heard == [("drift", "open")]
    assert one.attempts == 1


def test_two_leaders_at_once_tell_it_once(site: Site) -> None:
    site.begin()
    records = site.book.pending()  # as the other leader has read them before it was paused
    site.send()
    AlertSender([site.chat], site.book, site.redis, KEYS, site.clock, claim_ms=1).send(records)
    assert site.chat.heard == [("drift", "open")]


def test_redis_that_lost_everything(site: Site) -> None:
    site.chat.outcomes = [failure()]
    told, waiting = site.begin("canaries_lost"), None
    site.chat.outcomes = []
    site.send()
    waiting = site.begin()
    site.redis.flushall()
    site.leader()
    site.send()
    assert site.chat.heard == [("canaries_lost", "open"), ("drift", "open")]
    for record in (told, waiting):
        site.end(record)
    site.send()
    assert len(site.chat.heard) == 4


def test_an_outage_of_mongodb_is_sent_and_stored_later(site: Site) -> None:
    site.store.away = True
    record = site.begin("deliveries_failing")
    site.send()
    site.leader()
    site.send(MINUTE)
    assert site.chat.heard == [("deliveries_failing", "open")]
    assert site.stored() == []
    site.end(record)
    site.send()
    assert site.chat.heard[1:] == [("deliveries_failing", "over")]
    site.store.away = False
    assert site.book.pending() == []
    (stored,) = site.stored()
    assert stored["ended"] is not None
    assert stored["pending"] is False
    assert site.redis.hlen(KEYS.key(KEY)) == 0


def test_what_is_a_day_old_is_no_news(site: Site) -> None:
    site.chat.outcomes = [failure()] * 1000
    record = site.begin()
    site.send()
    site.end(record)
    site.send(DAY_MS / 1000 + 1)
    site.send()
    assert site.chat.heard == []
    (stored,) = site.stored()
    assert [alert["given_up"] for alert in stored["alerts"]] == [True, True]
    assert stored["alerts"][0]["problem"] == "status 503"


def test_a_channel_that_was_removed_is_given_up(site: Site) -> None:
    site.chat.outcomes = [failure()] * 9
    record = site.begin()
    site.send()
    other = Chat("other")
    site.leader(other)
    site.send(MINUTE)
    site.end(record)
    site.send()
    assert (other.heard, site.chat.attempts) == ([], 1), "the other never heard of its beginning"
    assert site.book.pending() == []


def test_without_channels_incidents_are_kept_all_the_same(clock: ManualClock) -> None:
    site = Site(clock)
    site.sender.channels = []
    site.end(site.begin())
    assert len(site.stored()) == 1
    assert site.book.pending() == []


def test_copies_agree_on_what_happened() -> None:
    one = IncidentRecord("1-drift", "drift", "text", 1)
    announce(one, OPEN, [Chat("a"), Chat("b")], 1)
    other = IncidentRecord("1-drift", "drift", "text", 1, ended=9)
    announce(other, OPEN, [Chat("b"), Chat("a")], 1)
    one.alerts[0].told, other.alerts[0].attempts = 5, 3
    for record in (merged(one, other), merged(other, one)):
        assert record.ended == 9
        assert {alert.channel: (alert.told, alert.attempts) for alert in record.alerts} == {
            "a": (5, 0),
            "b": (0, 3),
        }


def test_a_test_alert_goes_to_all_at_once(clock: ManualClock) -> None:
    good, bad = Chat("good"), Chat("bad")
    bad.outcomes = [failure()]
    found = send_test([good, bad], clock.now_ms())
    assert [(channel.label, outcome.told) for channel, outcome in found] == [
        ("good", True),
        ("bad", False),
    ]
    assert good.heard == [("test", "test")]


def test_channels_are_named_without_their_secrets() -> None:
    urls = [
        "https://user:secret@hooks.example.com/secret",
        "slack://secret-a/secret-b/secret-c",
        "slack://secret-d/secret-e/secret-f",
        "mailto://user:secret@example.com?to=a@example.com,b@example.com",
    ]
    channels = channels_of(urls, "secret-key")
    assert [channel.label for channel in channels] == [
        "hooks.example.com", "slack", "slack 2", "mailto",
    ]  # fmt: skip
    assert len({channel.key for channel in channels}) == 4
    assert [each.key for each in channels_of(urls, "another-key")] != [
        each.key for each in channels
    ]
