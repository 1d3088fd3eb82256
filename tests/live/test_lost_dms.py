"""Lost DMs: exactly those without an echo, whatever comes early, late, twice or in another hour."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from bson.binary import Binary

from dmstats.core.clock import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    ManualClock,
    SystemClock,
    day_start,
    rfc3339,
    to_datetime,
)
from dmstats.core.records import LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.counting.ledger import Ledger
from dmstats.db.send_store import ALL, KEPT_MS, SendStore, State, day_key
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.ingest.events import read_events
from dmstats.ops.lost_dms import LOOKED_FOR_MS, UNUSED_SECONDS, EchoCheck
from tests.servers import Secantus, running
from tests.service.admin_site import TOKEN, AdminSite, bearer

pytestmark = pytest.mark.live

ACCOUNT, OTHER = "17841400000000001", "17841400000000002"
MAX_AGE_MS = 132 * HOUR_MS


class Site(AdminSite):
    """The API, the ledger as deliveries fill it, and the leader's job."""

    def __init__(self, clock: ManualClock, mongo: Mongo) -> None:
        super().__init__(clock, mongo)
        self.store = SendStore(mongo, TransactionRunner(mongo))
        self.app.extensions["dmstats"].sends = self.store
        self.ledger = Ledger(mongo, retention_hours=168)
        self.check = EchoCheck(self.store, clock)

    def tell(self, *sends: dict[str, Any], status: int = 202) -> dict[str, Any]:
        answer = self.client().post("/api/sends", json={"sends": sends}, headers=bearer(TOKEN))
        assert answer.status_code == status, answer.text
        return dict(answer.get_json())

    def echo(self, *mids: str, sent_ms: int | None = None, account: str = ACCOUNT) -> None:
        """What a delivery of the echoes that arrives now adds to the ledger."""
        rows = [row for mid in mids for row in echo_rows(mid, sent_ms, self.clock, account)]
        self.ledger.prepare(rows)
        self.ledger.insert_new(rows)

    def pass_time(self, minutes: float) -> None:
        self.clock.advance(minutes * 60)
        while self.check.tick():
            pass

    def get(self, path: str = "/api/admin/lost") -> dict[str, Any]:
        answer = self.client().get(path, headers=bearer(TOKEN))
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    def sums(self, account: str = ALL) -> tuple[int, int, int]:
        now = self.clock.now_ms()
        days = self.store.of_account(account, now - 80 * DAY_MS, now)
        return tuple(sum(getattr(day, name) for day in days) for name in ("echoed", "late", "lost"))


def echo_rows(
    mid: str, sent_ms: int | None, clock: ManualClock, account: str = ACCOUNT
) -> list[LedgerRow]:
    item: dict[str, Any] = {
        "sender": {"id": account}, "message": {"mid": mid, "is_echo": True, "text": "x"},
    }  # fmt: skip
    if sent_ms is not None:
        item["timestamp"] = sent_ms
    body = {"object": "instagram", "entry": [{"id": account, "messaging": [item]}]}
    now = clock.now_ms()
    return read_events(json.dumps(body).encode(), arrived_ms=now, max_age_ms=MAX_AGE_MS).rows


def send(mid: str, account: str = ACCOUNT, at_ms: int | None = None) -> dict[str, Any]:
    told = {"mid": mid, "account": account}
    return told if at_ms is None else {**told, "at": rfc3339(at_ms)}


@pytest.fixture
def clock() -> ManualClock:
    """Noon of today: what would have expired by now, the server deletes once a minute."""
    return ManualClock(day_start(SystemClock().now_ms()) + 12 * HOUR_MS)


@pytest.fixture
def site(mongo: Mongo, clock: ManualClock) -> Site:
    return Site(clock, mongo)


def test_it_works(site: Site, clock: ManualClock) -> None:
    site.mongo.db["instagram_accounts"].insert_one({"instagramId": ACCOUNT, "username": "lumen"})
    assert site.tell(send("a"), send("b"), send("c")) == {"accepted": 3, "repeated": 0}
    site.echo("a", sent_ms=clock.now_ms())
    site.pass_time(5)
    assert site.get() == {"days": [], "accounts": [], "complete": True}
    site.pass_time(6)
    today = to_datetime(clock.now_ms()).date().isoformat()
    day = {"day": today, "sends": 3, "late": 0, "lost": 2, "lostShare": 2 / 3}
    assert site.get()["days"] == [day]
    assert site.get()["accounts"] == [{**day, "instagramId": ACCOUNT, "username": "lumen"}]
    assert site.get(f"/api/admin/accounts/{ACCOUNT}/lost") == {"days": [day]}
    site.echo("b", sent_ms=clock.now_ms() - 11 * MINUTE_MS)
    site.pass_time(11)
    assert site.sums(ACCOUNT) == site.sums() == (1, 1, 1)


def test_a_repeated_report_counts_once(site: Site) -> None:
    assert site.tell(send("a"), send("a")) == {"accepted": 1, "repeated": 1}
    assert site.tell(send("a", OTHER), send("b")) == {"accepted": 1, "repeated": 1}
    site.pass_time(11)
    assert site.tell(send("a")) == {"accepted": 0, "repeated": 1}
    site.pass_time(11)
    assert site.sums() == (0, 0, 2)
    assert site.sums(OTHER) == (0, 0, 0)


@pytest.mark.parametrize("minutes", [-59, -30, 0, 30, 59, None])
def test_metas_time_may_be_in_another_hour(
    site: Site, clock: ManualClock, minutes: int | None
) -> None:
    sent_ms = clock.now_ms()
    site.tell(send("a", at_ms=sent_ms))
    site.echo("a", sent_ms=None if minutes is None else sent_ms + minutes * MINUTE_MS)
    site.pass_time(11)
    assert site.sums() == (1, 0, 0)


def test_reported_after_its_echo(site: Site, clock: ManualClock) -> None:
    sent_ms = clock.now_ms()
    site.echo("early", sent_ms=sent_ms)
    clock.advance(20 * 60)
    site.echo("late", sent_ms=sent_ms)
    clock.advance(3600)
    site.tell(send("early", at_ms=sent_ms), send("late", at_ms=sent_ms))
    site.pass_time(0)
    assert site.sums() == (1, 1, 0)


def test_a_lost_one_is_looked_for_as_long_as_meta_retries(site: Site, clock: ManualClock) -> None:
    sent_ms = clock.now_ms()
    site.tell(send("a"), send("b"))
    looks = 0
    while clock.now_ms() - sent_ms < 36 * HOUR_MS:
        clock.advance(60)
        looks += bool(site.check.tick())
    assert looks < 20
    assert site.sums() == (0, 0, 2)
    site.echo("a", sent_ms=sent_ms)
    site.pass_time(13 * 60)
    assert site.sums() == (0, 1, 1)
    waiting = site.mongo.db["dmstats_sends"].count_documents({"due": {"$exists": True}})
    assert waiting == 0
    assert clock.now_ms() - sent_ms > LOOKED_FOR_MS


def test_without_a_call_nothing_is_there(site: Site, clock: ManualClock) -> None:
    reads: list[int] = []
    due = site.store.due

    def counted(now_ms: int, limit: int) -> Any:
        reads.append(now_ms)
        return due(now_ms, limit)

    site.store.due = counted  # type: ignore[method-assign]
    for _ in range(20):
        site.pass_time(0.5)
    assert len(reads) <= 600 / UNUSED_SECONDS + 1
    assert site.get() == {"days": [], "accounts": [], "complete": True}
    assert not [name for name in site.mongo.db.list_collection_names() if "send" in name]


def test_what_is_stored(site: Site, clock: ManualClock) -> None:
    mid = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAw"
    site.tell(send(mid))
    (found,) = site.mongo.db["dmstats_sends"].find()
    assert mid not in str(found)
    assert sorted(found) == ["_id", "account", "at", "due", "expiresAt", "state"]
    assert found["expiresAt"] == to_datetime(clock.now_ms() + KEPT_MS)
    indexes = [index["key"] for index in site.mongo.db["dmstats_sends"].list_indexes()]
    assert {"due": 1} in indexes
    assert {"expiresAt": 1} in indexes


@pytest.mark.parametrize(
    ("sends", "status"),
    [
        ([], 400),
        ([send("a"), {"mid": "b"}], 400),
        ([send("a"), {"mid": "", "account": "1"}], 400),
        ([send("a"), {"mid": 3, "account": "1"}], 400),
        ([send("a"), {"mid": "m", "account": "a b"}], 400),
        ([send("a"), {"mid": "m", "account": 17841400000000001}], 400),
        ([send("a"), {"mid": "m", "account": "1", "at": "2026-11-15"}], 400),
        ([send("a"), {"mid": "m", "account": "1", "at": "2026-11-31T00:00:00Z"}], 400),
        ([send("a"), {"mid": "m", "account": "1", "text": "x"}], 400),
        ([send(f"{n}") for n in range(1001)], 400),
        ([{"mid": "m" * 2_000_000, "account": "1"}], 413),
    ],
)
def test_bad_input_stores_nothing(site: Site, sends: list[Any], status: int) -> None:
    site.tell(*sends, status=status)
    assert site.mongo.db["dmstats_sends"].count_documents({}) == 0


def test_a_time_that_is_too_long_ago_or_ahead(site: Site, clock: ManualClock) -> None:
    for away_ms in (-DAY_MS - 1000, HOUR_MS + 1000):
        answer = site.tell(send("a"), send("b", at_ms=clock.now_ms() + away_ms), status=400)
        assert "sends: 1: at" in answer["detail"]
    assert site.get()["days"] == []


def test_a_clock_that_is_ahead(site: Site, clock: ManualClock) -> None:
    site.tell(send("a", at_ms=clock.now_ms() + 5 * MINUTE_MS), send("\ud800"))
    site.pass_time(11)
    assert site.sums() == (0, 0, 2)


def test_a_clock_that_is_set_forward_makes_no_dm_lost(site: Site, clock: ManualClock) -> None:
    site.tell(send("a", at_ms=clock.now_ms()))
    clock.step(3 * DAY_MS / 1000)
    site.pass_time(1)
    clock.step(-3 * DAY_MS / 1000)
    site.echo("a", sent_ms=clock.now_ms() - MINUTE_MS)
    site.pass_time(10)
    assert site.sums() == (1, 0, 0)


def test_two_leaders_count_each_dm_once(site: Site, clock: ManualClock) -> None:
    site.tell(send("a"), send("b"))
    clock.advance(11 * 60)
    due = site.store.due

    def while_another_settles(now_ms: int, limit: int) -> Any:
        found = due(now_ms, limit)
        EchoCheck(SendStore(site.mongo, TransactionRunner(site.mongo)), clock).tick()
        return found

    site.store.due = while_another_settles  # type: ignore[method-assign]
    site.check.tick()
    assert site.sums() == (0, 0, 2)


def test_odd_documents_hold_nothing_up(site: Site, clock: ManualClock) -> None:
    site.tell(send("a"))
    now = to_datetime(clock.now_ms() - 1)
    day = f"{now:%Y%m%d}:"
    odd: list[dict[str, Any]] = [{"_id": 1, "due": now}, {"_id": "x", "due": now, "at": 3}]
    site.mongo.db["dmstats_sends"].insert_many(odd)
    site.mongo.db["dmstats_send_days"].insert_one({"_id": day, "echoed": 1, "lost": 1})
    site.pass_time(11)
    assert site.sums() == (1, 0, 2)
    assert site.get()["days"][0]["lost"] == 2


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secantus]:
    folder = tmp_path_factory.mktemp("standalone")
    with running(Secantus(folder, standalone=True, synced=False)) as server:
        yield server


@pytest.mark.parametrize("damaged", [ACCOUNT, OTHER, ALL])
def test_a_damaged_sum_on_a_standalone_server_costs_itself_alone(
    standalone: Secantus, clock: ManualClock, damaged: str
) -> None:
    settings = Settings(mongodb_uri=standalone.uri, mongodb_db=f"damaged_{damaged}")
    with closing(connect(settings)) as mongo:
        site = Site(clock, mongo)
        day: dict[str, Any] = {"_id": day_key(clock.now_ms(), damaged), "account": damaged}
        day |= {"day": to_datetime(day_start(clock.now_ms())), "echoed": 2, "lost": "x"}
        mongo.db["dmstats_send_days"].insert_one(day)
        site.tell(*(send(f"{n}", ACCOUNT) for n in range(5)), *(send(f"o{n}", OTHER) for n in "12"))
        site.echo("0", sent_ms=clock.now_ms())
        site.pass_time(11)
        right = {ACCOUNT: (1, 0, 4), OTHER: (0, 0, 2), ALL: (1, 0, 6)}
        echoed, late, lost = right[damaged]
        right[damaged] = echoed + 2, late, lost
        assert {account: site.sums(account) for account in right} == right


WITHHELD = 37
SENDS = int(os.environ.get("TEST_SENDS", "1500"))
"""100,000 take minutes on a fast server (TEST_MONGODB_URI), and hours on the embedded one."""


def run(site: Site, number: int, *, seed: int = 7) -> set[str]:
    """``number`` sends over six hours, told in calls of 1,000: 37 echoes are withheld, the others
    come in time, before the call, late, or twice; some calls are repeated. Returns the withheld
    ones."""
    clock, chance = site.clock, random.Random(seed)
    mids = [f"mid-{n:06d}" for n in range(number)]
    withheld = set(chance.sample(mids, WITHHELD))
    size = min(1000, max(1, number // 20))
    later: list[tuple[int, str, int]] = []
    begin_ms = clock.now_ms()
    for at in range(0, number, size):
        some, accounts = mids[at : at + size], (ACCOUNT, OTHER)
        sent_ms = {mid: clock.now_ms() - chance.randrange(90_000) for mid in some}
        kinds = {mid: chance.random() for mid in some}
        early = [mid for mid in some if mid not in withheld and kinds[mid] < 0.3]
        rows = [row for mid in early for row in echo_rows(mid, sent_ms[mid] + 700, clock)]
        site.ledger.prepare(rows)
        site.ledger.insert_new(rows)
        for mid in some:
            if mid not in withheld and kinds[mid] >= 0.3:
                minutes = chance.uniform(20, 400) if kinds[mid] > 0.97 else chance.uniform(0, 8)
                due_ms = clock.now_ms() + round(minutes * MINUTE_MS)
                later.append((due_ms, mid, sent_ms[mid] + 700))
                if kinds[mid] < 0.4:  # and the same once more
                    later.append((due_ms + HOUR_MS, mid, sent_ms[mid] + 700))
        for _ in range(2 if chance.random() < 0.3 else 1):
            site.tell(*(send(mid, accounts[int(mid[4:]) % 2], sent_ms[mid]) for mid in some))
        for _ in range(max(1, round(180 / (number / size)))):
            later = deliver(site, later)
    while later:
        later = deliver(site, later)
    while clock.now_ms() - begin_ms < LOOKED_FOR_MS + 8 * HOUR_MS:
        site.pass_time(30)
    return withheld


def deliver(site: Site, later: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    """Two minutes later, have the echoes arrive that are due; returns the others."""
    site.clock.advance(120)
    now, clock = site.clock.now_ms(), site.clock
    rows = {
        row.row_id: row for due, mid, sent in later if due <= now
        for row in echo_rows(mid, sent, clock)
    }  # fmt: skip
    site.ledger.prepare(rows.values())
    known = site.ledger.find_existing(rows.values())
    site.ledger.insert_new([row for key, row in rows.items() if key not in known])
    site.check.tick()
    return [each for each in later if each[0] > now]


def judge(site: Site, number: int, withheld: set[str]) -> None:
    from dmstats.ingest.identity import message_digest

    lost = {bytes(each["_id"]) for each in
            site.mongo.db["dmstats_sends"].find({"state": State.LOST.value})}  # fmt: skip
    assert lost == {message_digest(mid) for mid in withheld}
    echoed, late, in_sums = site.sums()
    assert (echoed + late + in_sums, in_sums) == (number, WITHHELD)
    assert late > 0
    by_account = [site.sums(account) for account in (ACCOUNT, OTHER)]
    assert [sum(each) for each in zip(*by_account, strict=True)] == [echoed, late, in_sums]


def test_exactly_those_whose_echo_is_withheld(site: Site) -> None:
    withheld = run(site, SENDS)
    judge(site, SENDS, withheld)


def test_odd_documents_stop_nothing(site: Site, clock: ManualClock) -> None:
    """As after a bad restore."""
    site.tell(send("a"))
    now, database = clock.now_ms(), site.mongo.db
    dates = ((1, 1, 1), (1969, 1, 1), (9999, 12, 31))
    moments: list[Any] = [None, "x", *(datetime(*at, tzinfo=UTC) for at in dates)]
    row = {"account": ACCOUNT, "state": "waiting", "due": to_datetime(now - HOUR_MS)}
    ids: list[Any] = [bytes([n]) * 16 for n in range(len(moments))]
    odd = [{**row, "_id": key, "at": at} for key, at in zip(ids, moments, strict=True)]
    odd.append({**row, "_id": Binary(b"x" * 16, 5), "at": to_datetime(now)})
    database["dmstats_sends"].insert_many(odd)
    for account, value in ((ALL, None), (ACCOUNT, [1])):
        day: dict[str, Any] = {"_id": day_key(now, account), "account": account}
        day |= {"day": to_datetime(day_start(now)), "echoed": 2, "late": value, "lost": value}
        database["dmstats_send_days"].insert_one(day)
    site.pass_time(11)
    assert site.sums() == site.sums(ACCOUNT) == (2, 0, 1)
    assert database["dmstats_sends"].count_documents({"due": {"$exists": True}}) == 1
