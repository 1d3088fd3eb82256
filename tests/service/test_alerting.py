"""Alert channels and rules that admins make in the page."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import fakeredis
import pytest
from bson.code import Code
from bson.int64 import Int64

from dmstats.core.clock import HOUR_MS, MINUTE_MS, ManualClock, to_datetime
from dmstats.core.errors import StoreUnavailable
from dmstats.core.sealed import Sealer
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.roles import Role
from dmstats.db.alerting import MAX_ENTRIES, AlertingStore, Rule, StoredChannel
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.incidents import IncidentRecord, IncidentStore, record_id
from dmstats.ops.alerts import AlertSender, announce
from dmstats.ops.channels import UNREADABLE, ChannelList, MadeChannel
from dmstats.ops.delivery_log import SharedDeliveryLog
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.incidents import FAILING, RULE, Incident
from dmstats.ops.notifier import OPEN, Channel, Notice, Outcome
from dmstats.ops.rule_checks import RuleChecks
from dmstats.ops.rules import LastHour, figures_of, passed, since_when, unexpected
from dmstats.ops.watchdog import Watchdog
from dmstats.web.schema.alerting_schemas import ChannelsAnswer, RulesAnswer
from tests.keyspace import KEYS
from tests.recorder import Recorder
from tests.service.admin_site import TOKEN, AdminSite, bearer
from tests.service.test_alerts import Chat

CHANNELS, RULES = "/api/admin/alerts/channels", "/api/admin/alerts/rules"
SECRET = "hunter2-of-the-chat"
URL = f"https://hooks.example.com/{SECRET}"
ALL = {"name": "Chat", "url": URL}
UTC = ZoneInfo("UTC")


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent, instead of sending it."""
    sent: list[str] = []

    def notify(self: MadeChannel, notice: Notice, incident_id: str) -> Outcome:
        sent.append(f"{self.label}: {notice.incident}")
        return Outcome(told=True)

    monkeypatch.setattr(MadeChannel, "notify", notify)
    return sent


def stored(site: AdminSite) -> str:
    names = site.mongo.db.list_collection_names()
    return str([list(site.mongo.db[name].find({})) for name in names])


def test_it_works(site: AdminSite, sent: list[str]) -> None:
    client = site.signed_in()
    body = ALL | {"incidents": [FAILING], "quietFrom": "22:00", "quietTo": "07:30"}
    added = client.post(CHANNELS, json=body)
    assert added.status_code == 201, added.text
    channel = added.get_json()
    assert channel == {
        "id": channel["id"], "name": "Chat", "address": "hooks.example.com",
        "incidents": [FAILING], "quietFrom": "22:00", "quietTo": "07:30",
    }  # fmt: skip
    listed = client.get(CHANNELS)
    found = ChannelsAnswer().load(listed.get_json())
    assert found["channels"] == [channel]
    assert {FAILING, RULE} < set(found["kinds"])
    # The address is in no answer, no document and no log.
    assert SECRET not in stored(site) + added.text + listed.text
    tested = client.post(f"{CHANNELS}/{channel['id']}/test").get_json()
    assert tested == {"channels": [{"channel": "Chat", "told": True, "problem": None}]}
    assert sent == ["Chat: test"]
    # Without an address it keeps the one that it has.
    changed = client.post(f"{CHANNELS}/{channel['id']}", json={"name": "Team"}).get_json()
    assert changed == channel | {
        "name": "Team", "incidents": None, "quietFrom": None, "quietTo": None,
    }  # fmt: skip
    assert client.post(f"{CHANNELS}/{channel['id']}/delete").get_json() == changed
    assert client.get(CHANNELS).get_json()["channels"] == []
    for verb in ("", "/delete", "/test"):
        assert client.post(f"{CHANNELS}/{channel['id']}{verb}", json=ALL).status_code == 404
    log = [(entry.event, entry.target) for entry in site.log.page(LogFilter(), limit=9)[0]]
    assert log[:3] == [
        ("channel-deleted", "Team"), ("channel-changed", "Team"), ("channel-added", "Chat"),
    ]  # fmt: skip


def test_only_admins_see_them(site: AdminSite) -> None:
    operator = site.signed_in("bob@example.com", Role.OPERATOR)
    for path in (CHANNELS, RULES):
        assert operator.get(path).status_code == 403
        assert site.client().get(path, headers=bearer(TOKEN)).status_code in (401, 403)
        assert operator.post(path, json=ALL).status_code == 403


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": "chat"}, "url: Must be addresses such as"),
        ({"url": "https://a.example/x,https://b.example/y"}, "url: Must be one address"),
        ({"url": None}, "url: "),
        ({"name": " "}, "name: Must not be empty."),
        ({"incidents": []}, "incidents: "),
        ({"incidents": ["fire"]}, "incidents: 0: Must be one of"),
        ({"quietFrom": "22:00"}, "quietTo: Set both"),
        ({"quietFrom": "24:00", "quietTo": "07:00"}, "quietFrom: "),
    ],
)
def test_bad_channels_are_refused(site: AdminSite, change: dict[str, Any], sentence: str) -> None:
    answer = site.signed_in().post(CHANNELS, json=ALL | change)
    assert (answer.status_code, sentence in answer.get_json()["detail"]) == (400, True), answer.text
    assert SECRET not in answer.text
    assert site.alerting.channels() == []


def test_an_address_that_cannot_be_used_is_refused_at_once(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "the address is not a valid Apprise address"
    monkeypatch.setattr(MadeChannel, "check", lambda self: Outcome(told=False, problem=problem))
    answer = site.signed_in().post(CHANNELS, json=ALL | {"url": "slak://a/b"})
    assert (answer.status_code, answer.get_json()["detail"]) == (400, f"url: {problem}.")
    assert site.alerting.channels() == []


def test_their_number_is_bounded(site: AdminSite) -> None:
    for i in range(MAX_ENTRIES):
        site.alerting.save_channel(StoredChannel(f"{i}", "x"))
        site.alerting.save_rule(Rule("perMinute", "above"))
    client = site.signed_in()
    assert client.post(CHANNELS, json=ALL).status_code == 400
    site.stats.version = "1-7"
    answer = client.post(RULES, json={"figure": "sent", "sense": "outside"})
    assert answer.get_json()["detail"] == "There are already 20 rules."


def test_with_another_secret_key_the_address_is_asked_for_again(site: AdminSite) -> None:
    site.signed_in().post(CHANNELS, json=ALL)
    other = ChannelList([], site.alerting, "another-key", UTC)
    (channel,) = other.current()
    assert isinstance(channel, MadeChannel)
    assert (channel.address_kind, channel.check().problem) == ("", UNREADABLE)


class Away(AlertingStore):
    away = False

    def channels(self) -> list[StoredChannel]:
        if self.away:
            raise StoreUnavailable
        return super().channels()


def test_while_mongodb_is_away_the_channels_are_those_of_before(site: AdminSite) -> None:
    site.signed_in().post(CHANNELS, json=ALL)
    store, fixed = Away(site.mongo), Chat("fixed")
    channels = ChannelList([fixed], store, "k" * 32, UTC)
    store.away = True
    assert ([each.label for each in channels.current()], channels.is_complete) == (["fixed"], False)
    store.away = False
    assert [each.label for each in channels.current()] == ["fixed", "Chat"]
    store.away = True
    assert [each.label for each in channels.current()] == ["fixed", "Chat"]
    assert channels.is_complete


@pytest.mark.parametrize(
    ("start", "end", "time", "quiet"),
    [
        ("22:00", "07:00", "21:59", False),
        ("22:00", "07:00", "22:00", True),
        ("22:00", "07:00", "06:59", True),
        ("22:00", "07:00", "07:00", False),
        ("12:00", "13:00", "12:30", True),
        ("12:00", "13:00", "13:00", False),
        ("00:00", "00:00", "00:00", False),
    ],
)
def test_quiet_hours(start: str, end: str, time: str, quiet: bool) -> None:
    minute = [int(each[:2]) * 60 + int(each[3:]) for each in (start, end, time)]
    channel = StoredChannel("Chat", "x", None, minute[0], minute[1], "1")
    for zone, ahead in (("UTC", 0), ("Asia/Kolkata", 330)):
        made = MadeChannel(channel, Sealer("key", "tests"), ZoneInfo(zone))
        assert made.is_quiet(((minute[2] - ahead) % 1440) * MINUTE_MS) is quiet


class Telling:
    """The leader's part: a book and a sender for ``channels``."""

    def __init__(self, clock: ManualClock, mongo: Any, channels: list[Channel]) -> None:
        redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.clock, self.channels = clock, channels
        self.book = IncidentBook(IncidentStore(mongo), redis, KEYS)
        self.sender = AlertSender(channels, self.book, redis, KEYS, clock, claim_ms=1)

    def begin(self, name: str) -> None:
        now = self.clock.now_ms()
        record = IncidentRecord(record_id(now, name), name, "text", now)
        announce(record, OPEN, self.channels, now)
        self.book.save(record)

    def send(self) -> None:
        self.sender.send(self.book.pending())


def test_a_channel_hears_what_it_chose_and_not_in_its_quiet_hours(
    site: AdminSite, clock: ManualClock, sent: list[str]
) -> None:
    # It is 12:34.
    for name, incidents, quiet in (("some", (FAILING, RULE), (0, 0)), ("all", None, (700, 780))):
        site.alerting.save_channel(StoredChannel(name, "x", incidents, *quiet))
    telling = Telling(clock, site.mongo, site.channels.current())
    for name in (FAILING, "drift", "rule-1"):
        telling.begin(name)
        clock.advance(1)
    telling.send()
    assert sorted(sent) == [f"some: {FAILING}", "some: rule-1"]
    clock.advance(HOUR_MS / 1000)
    telling.send()
    assert sorted(sent)[:3] == [f"all: {FAILING}", "all: drift", "all: rule-1"]
    assert len(sent) == 5


def test_alerts_of_channels_that_are_not_known_yet_wait(
    site: AdminSite, clock: ManualClock, sent: list[str]
) -> None:
    site.alerting.save_channel(StoredChannel("Chat", "x"))
    telling = Telling(clock, site.mongo, site.channels.current())
    telling.begin("drift")
    telling.sender.use([], all_known=False)
    telling.send()
    telling.sender.use(site.channels.current(), all_known=True)
    telling.send()
    assert sent == ["Chat: drift"]


SNAPSHOT = {
    "perMinute": 12.5, "today": {"sent": 900, "received": None}, "stale": True, "since": "x",
    "series": {"minutes": [1]}, "refresh": {"computeMs": 1.0}, "ageSeconds": 3.0,
}  # fmt: skip


def test_figures_are_the_numbers_of_the_snapshot() -> None:
    assert figures_of(SNAPSHOT) == {"perMinute": 12.5, "today.sent": 900}


@pytest.mark.parametrize("sense", ["above", "below"])
def test_a_threshold_has_to_be_passed_for_long_enough(sense: str) -> None:
    far, near = (20.0, 12.5) if sense == "above" else (5.0, 12.5)
    rule = Rule("perMinute", sense, 12.5, 10, id="1")
    began = since_when(rule, far, 1000)
    assert began == 1000
    assert since_when(rule, near, 1000) == 0
    assert passed(rule, far, began, 1000 + 10 * MINUTE_MS - 1) is None
    found = passed(rule, far, began, 1000 + 10 * MINUTE_MS)
    assert found == Incident("rule-1", f"perMinute is {far:g}, {sense} 12.5 for 10 minutes.")
    assert passed(rule, far, 0, 10**9) is None


def test_large_figures_are_written_in_full() -> None:
    found = passed(Rule("totalDMsSent", "above", 12_000_000), 12_345_678, 1, 1)
    assert found is not None
    assert found.text == "totalDMsSent is 12,345,678, above 12,000,000."


def test_all_of_the_last_hours_have_to_be_outside() -> None:
    rule, high, usual = (
        Rule("sent", "outside", id="1"),
        LastHour(9000, 10, 90),
        LastHour(50, 10, 90),
    )
    found = unexpected(rule, [high, high])
    assert found is not None
    assert found.text == (
        "Sent DMs of the last 2 full hours are outside the expected range: 9,000 in the last "
        "one; 10 to 90 are usual."
    )
    assert unexpected(rule, [usual, high]) is None
    assert unexpected(rule, [LastHour(9000, None, None)]) is None
    assert unexpected(rule, []) is None


def test_rules_are_made_changed_and_deleted(site: AdminSite) -> None:
    client = site.signed_in()
    site.stats.current = lambda *_: Body(b'{"perMinute": 1.5, "today": {"sent": 3}}')  # type: ignore[method-assign]
    body = {"figure": "today.sent", "sense": "below", "threshold": 5, "minutes": 30}
    rule = client.post(RULES, json=body).get_json()
    assert rule == body | {"id": rule["id"], "since": None}
    other = client.post(RULES, json={"figure": "sent", "sense": "outside", "minutes": 120})
    assert other.get_json()["threshold"] is None
    found = RulesAnswer().load(client.get(RULES).get_json())
    assert [each["figure"] for each in found["rules"]] == ["today.sent", "sent"]
    assert found["figures"] == {"perMinute": 1.5, "today.sent": 3.0}
    for bad, sentence in (
        (body | {"figure": "today.seen"}, "figure: Must be one of the figures"),
        (body | {"threshold": None}, "threshold: Missing"),
        (body | {"sense": "outside"}, "figure: Must be one of: sent, received."),
        (body | {"minutes": 1441}, "minutes: "),
        (body | {"sense": "around"}, "sense: "),
    ):
        for path in (RULES, f"{RULES}/{rule['id']}"):
            answer = client.post(path, json=bad)
            assert (answer.status_code, sentence in answer.get_json()["detail"]) == (400, True), bad
    site.alerting.note_since(site.alerting.rules()[0], 1)
    changed = client.post(f"{RULES}/{rule['id']}", json=body | {"threshold": 7}).get_json()
    assert changed == rule | {"threshold": 7.0}
    assert client.get(RULES).get_json()["rules"][0] == changed
    entry = site.log.page(LogFilter(), limit=1)[0][0]
    assert (entry.event, entry.details) == ("rule-changed", "below 7 for 30 minutes")
    assert client.post(f"{RULES}/{'0' * 24}", json=body).status_code == 404
    assert client.post(f"{RULES}/x", json=body).status_code == 404
    assert len(site.alerting.rules()) == 2
    assert client.post(f"{RULES}/{rule['id']}/delete").get_json() == changed
    assert client.post(f"{RULES}/{rule['id']}/delete").status_code == 404
    entry = site.log.page(LogFilter(), limit=1)[0][0]
    assert (entry.event, entry.details) == ("rule-deleted", "below 7 for 30 minutes")


class Body:
    def __init__(self, body: bytes) -> None:
        self.body = body


def test_a_rule_opens_and_ends_an_incident_over_changes_of_the_leader(
    site: AdminSite, clock: ManualClock
) -> None:
    snapshots, store = SnapshotStore(site.mongo), site.alerting
    rule = store.save_rule(Rule("today.sent", "above", 10, 5))
    store.save_rule(Rule("no.such", "above", 10))
    hours: list[tuple[int, int | None, int | None]] = [(5, 1, 9)]

    def check(sent: int, records: list[IncidentRecord] | None = None) -> dict[str, bool]:
        snapshots.save({"today": {"sent": sent}}, clock.now_ms(), term=1)
        leader = RuleChecks(store, snapshots, lambda figure, number: hours)
        return {name: found is not None for name, found in leader.check(records or [])}

    name = f"rule-{rule.id}"
    assert check(11) == {name: False}
    clock.advance(300)
    assert check(11) == {name: True}
    assert check(10) == {name: False}
    assert check(11) == {name: False}
    clock.advance(300)
    assert check(12) == {name: True}
    now = clock.now_ms()
    open_one = IncidentRecord(record_id(now, name), name, "text", now)
    store.delete_rule(rule.id)
    assert check(12, [open_one]) == {name: False}
    outside = store.save_rule(Rule("sent", "outside"))
    assert check(12) == {f"rule-{outside.id}": False}
    hours[0] = (10, 1, 9)
    assert check(12) == {f"rule-{outside.id}": True}


def test_the_watchdog_reports_a_rule(site: AdminSite, clock: ManualClock, sent: list[str]) -> None:
    site.alerting.save_channel(StoredChannel("Chat", "x", (RULE,)))
    rule = site.alerting.save_rule(Rule("today.sent", "above", 10))
    snapshots, metrics = SnapshotStore(site.mongo), Recorder()
    telling = Telling(clock, site.mongo, [])
    watchdog = Watchdog(
        SharedDeliveryLog(site.redis, KEYS, clock, metrics.redis_failed), Baseline(site.mongo),
        snapshots, telling.book, telling.sender, clock, metrics, channels=site.channels,
        rules=RuleChecks(site.alerting, snapshots, lambda figure, hours: []),
    )  # fmt: skip
    for today in (11, 12):
        snapshots.save({"today": {"sent": today}}, clock.now_ms(), term=1)
        watchdog.tick()
        clock.advance(60)
    site.alerting.delete_rule(rule.id)
    watchdog.tick()
    watchdog.tick()
    assert sent == [f"Chat: rule-{rule.id}"] * 2
    (record,) = site.incidents.since(0, 9)
    assert (record.text, record.finished) == ("today.sent is 11, above 10.", True)


def test_incidents_from_before_the_channels_were_known_are_sent_later(
    site: AdminSite, clock: ManualClock, sent: list[str]
) -> None:
    for name, incidents in (("Chat", None), ("Rules", (RULE,))):
        site.alerting.save_channel(StoredChannel(name, "x", incidents))
    metrics, lost = Recorder(), [5]
    store = Away(site.mongo)
    store.away = True
    channels = ChannelList([], store, "k" * 32, UTC)
    telling = Telling(clock, site.mongo, [])
    watchdog = Watchdog(
        SharedDeliveryLog(site.redis, KEYS, clock, metrics.redis_failed), Baseline(site.mongo),
        SnapshotStore(site.mongo), telling.book, telling.sender, clock, metrics, lambda: lost[0],
        channels=channels,
    )  # fmt: skip
    watchdog.tick()
    assert sent == []
    store.away = False
    for _ in range(3):
        watchdog.tick()
        clock.advance(60)
    assert sent == ["Chat: canaries_lost"]
    lost[0] = 0
    watchdog.tick()
    assert sent == ["Chat: canaries_lost"] * 2


def test_rules_that_cannot_be_checked_are_left_out(site: AdminSite) -> None:
    good = site.alerting.save_rule(Rule("sent", "outside", minutes=60))
    odds: list[dict[str, Any]] = [
        {"figure": "today.sent"}, {"sense": "equal"}, {"minutes": -1}, {"minutes": 10**12},
    ]  # fmt: skip
    document = {"figure": "sent", "sense": "outside", "threshold": 0.0, "minutes": 60}
    site.mongo.db["dmstats_alert_rules"].insert_many([document | odd for odd in odds])
    assert site.alerting.rules() == [good]


@pytest.mark.parametrize("name", [Code("drift"), Int64(3), None])
def test_the_name_of_an_incident_is_a_text(site: AdminSite, name: object) -> None:
    key, now = record_id(site.clock.now_ms(), "drift"), to_datetime(site.clock.now_ms())
    document = {"_id": key, "name": name, "text": "x", "since": now, "pending": True}
    site.mongo.db["dmstats_incidents"].insert_one(document)
    assert site.incidents.pending() == []


def test_alerts_are_sent_although_the_rules_fail(
    site: AdminSite, clock: ManualClock, sent: list[str]
) -> None:
    site.alerting.save_channel(StoredChannel("Chat", "x"))
    site.alerting.save_rule(Rule("sent", "outside"))

    def fail(figure: str, hours: int) -> list[tuple[int, int | None, int | None]]:
        raise KeyError(figure)

    snapshots, metrics, telling = (
        SnapshotStore(site.mongo),
        Recorder(),
        Telling(clock, site.mongo, []),
    )
    watchdog = Watchdog(
        SharedDeliveryLog(site.redis, KEYS, clock, metrics.redis_failed), Baseline(site.mongo),
        snapshots, telling.book, telling.sender, clock, metrics, lambda: 5, channels=site.channels,
        rules=RuleChecks(site.alerting, snapshots, fail),
    )  # fmt: skip
    watchdog.tick()
    assert sent == ["Chat: canaries_lost"]
