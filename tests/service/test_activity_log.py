"""The activity log: what is in it, what never is, who reads it, and what its failures do."""

from __future__ import annotations

import ast
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from dmstats.core.clock import ManualClock
from dmstats.db.admins import activity_log
from dmstats.db.admins.activity_log import WORDS, Actor, ActorKind, Event, LogFilter
from dmstats.db.admins.roles import Role
from dmstats.db.indexes import WANTED
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer

OTHER = "grace@example.com"
URL = "/api/admin/activity-log"
LOG = "dmstats_activity_log"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


def told(site: AdminSite) -> list[tuple[str, str, str, str]]:
    """The entries, the oldest first."""
    entries, _ = site.log.page(LogFilter(), limit=200)
    return [(e.event, e.actor.name, e.target, e.details) for e in reversed(entries)]


def test_it_works(site: AdminSite) -> None:
    client = site.signed_in()
    added = {"email": OTHER, "password": PASSWORD, "role": "operator"}
    client.post("/api/admin/admins", json=added)
    other = site.admins.find(OTHER).id
    client.post(f"/api/admin/admins/{other}/role", json={"role": "viewer"})
    client.post(f"/api/admin/admins/{other}/link", json={"currentPassword": PASSWORD})
    client.post(f"/api/admin/admins/{other}/disable")
    client.post(f"/api/admin/admins/{other}/enable")
    client.post(f"/api/admin/admins/{other}/sign-out")
    new = {"currentPassword": PASSWORD, "password": "a quite new password"}
    client.post(f"/api/admin/admins/{other}/password", json=new)
    client.post("/api/admin/admins/invite", json={"email": "eve@example.com", "role": "viewer"})
    client.post("/logout", json={})
    assert told(site) == [
        ("signed-in", EMAIL, "", ""),
        ("person-added", EMAIL, OTHER, "operator"),
        ("role-changed", EMAIL, OTHER, "viewer"),
        ("link-made", EMAIL, OTHER, ""),
        ("person-disabled", EMAIL, OTHER, ""),
        ("person-enabled", EMAIL, OTHER, ""),
        ("signed-out-everywhere", EMAIL, OTHER, ""),
        ("password-changed", EMAIL, OTHER, ""),
        ("person-invited", EMAIL, "eve@example.com", "viewer"),
        ("signed-out", EMAIL, "", ""),
    ]
    entry = site.mongo.db[LOG].find_one({"event": "signed-out"})
    assert entry
    assert (entry["actorKind"], entry["from"]) == ("person", "127.0.0.1")
    assert (entry["endsAt"] - entry["at"]).days == 365


def test_a_person_alone(site: AdminSite) -> None:
    client = site.signed_in(EMAIL, Role.VIEWER)
    new = "a quite new password"
    client.post("/api/admin/me/password", json={"currentPassword": PASSWORD, "password": new})
    client.post("/api/admin/me/sign-out")
    assert [event for event, *_ in told(site)] == [
        "signed-in", "password-changed", "signed-out-everywhere",
    ]  # fmt: skip


def test_a_link_that_is_used(site: AdminSite) -> None:
    _, link = site.admins.invite(OTHER)
    site.client().post("/password", json={"link": link.token, "password": PASSWORD})
    assert told(site) == [("link-used", OTHER, "", "")]


class TestFailedSignIns:
    def test_name_only_existing_people(self, site: AdminSite) -> None:
        site.admins.create(EMAIL, PASSWORD)
        client = site.client()
        for email in (EMAIL.upper(), "my secret password", "unknown@example.com"):
            answer = client.post("/login", json={"email": email, "password": "wrong password"})
            assert answer.status_code == 401
        failed = ("sign-in-failed", "")
        assert told(site) == [(*failed, EMAIL, ""), (*failed, "", ""), (*failed, "", "")]

    def test_a_flood_is_one_entry_a_minute(self, site: AdminSite) -> None:
        site.admins.create(EMAIL, PASSWORD)
        wrong = {"email": EMAIL, "password": "wrong password"}
        statuses = [site.client().post("/login", json=wrong).status_code for _ in range(9)]
        assert statuses == [401] * 5 + [429] * 4
        events = [event for event, *_ in told(site)]
        assert events == ["sign-in-failed"] * 5 + ["sign-in-limited"]


def test_no_secret_is_in_it(site: AdminSite) -> None:
    client = site.signed_in()
    new = "a quite new password"
    me = client.get("/api/admin/me").get_json()["id"]
    link = client.post(
        f"/api/admin/admins/{me}/link", json={"currentPassword": PASSWORD}
    ).get_json()["link"]
    token = link.partition("?link=")[2]
    client.post("/api/admin/me/password", json={"currentPassword": PASSWORD, "password": new})
    site.client().post("/login", json={"email": PASSWORD, "password": PASSWORD})
    stored = str(list(site.mongo.db[LOG].find({})))
    for secret in (PASSWORD, new, token, token.partition(".")[2], TOKEN, "argon2"):
        assert secret not in stored


def fill(site: AdminSite, clock: ManualClock, count: int) -> None:
    for number in range(count):
        actor = Actor(ActorKind.PERSON, f"p{number % 3}@example.com", "198.51.100.7")
        site.log.add(Event.ROLE_CHANGED, actor, f"t{number}", "")
        if number % 2:
            clock.advance(1)


class TestReading:
    def test_pages_hold_each_entry_once(self, site: AdminSite, clock: ManualClock) -> None:
        fill(site, clock, 25)
        client, seen, cursor = site.client(), [], None
        while True:
            query = {
                "limit": "10",
                "event": "role-changed",
                **({"cursor": cursor} if cursor else {}),
            }
            answer = client.get(URL, query_string=query, headers=bearer(TOKEN)).get_json()
            seen += [entry["target"] for entry in answer["entries"]]
            if (cursor := answer["nextCursor"]) is None:
                break
        assert seen == [f"t{number}" for number in reversed(range(25))]

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"who": "p1@"}, 3),
            ({"who": "P1@example.com "}, 3),
            ({"who": "t1"}, 1),
            ({"who": ".*"}, 0),
            ({"event": "signed-in"}, 0),
            ({"since": "2026-11-15", "until": "2026-11-15"}, 9),
            ({"since": "2026-11-16"}, 0),
            ({"until": "2026-11-14"}, 0),
            ({"since": "0001-01-01", "until": "9999-12-31"}, 9),
            ({"cursor": f"{'9' * 14}-{'f' * 24}"}, 9),
        ],
    )
    def test_filters(
        self, site: AdminSite, clock: ManualClock, query: dict[str, str], found: int
    ) -> None:
        fill(site, clock, 9)
        answer = site.client().get(URL, query_string=query, headers=bearer(TOKEN))
        assert len(answer.get_json()["entries"]) == found

    @pytest.mark.parametrize(
        "query",
        [
            {"event": "x"}, {"since": "yesterday"}, {"cursor": "x"}, {"cursor": "1-zz"},
            {"limit": "0"}, {"format": "xml"}, {"since": "2026-11-16", "until": "2026-11-15"},
            {"other": "1"},
        ],
    )  # fmt: skip
    def test_what_is_refused(self, site: AdminSite, query: dict[str, str]) -> None:
        answer = site.client().get(URL, query_string=query, headers=bearer(TOKEN))
        assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")

    def test_as_csv(self, site: AdminSite) -> None:
        actor = Actor(ActorKind.COMMAND, "=cmd|'/c calc'!A1", "host")
        site.log.add(Event.COMMAND_RUN, actor, "", "audit --repair;=3")
        answer = site.client().get(f"{URL}?format=csv", headers=bearer(TOKEN))
        assert answer.mimetype == "text/csv"
        assert "dmstats-activity-2026-11-15.csv" in answer.headers["Content-Disposition"]
        (row,) = csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig")))
        assert row["event"] == "command-run"
        assert row["actor"].startswith("'="), "no formula in a spreadsheet"
        assert row["details"] == "audit --repair;'=3"

    def test_a_viewer_does_not(self, site: AdminSite) -> None:
        site.signed_in()
        assert site.signed_in(OTHER, Role.VIEWER).get(URL).status_code == 403

    def test_odd_documents_are_passed_over(self, site: AdminSite) -> None:
        site.mongo.db[LOG].insert_many([{"_id": 1}, {"at": "x"}, {"event": 5}])
        site.client().post("/login", json={"email": EMAIL, "password": "wrong password"})
        assert [event for event, *_ in told(site)] == ["sign-in-failed"]


class TestWhenItCannotBeWritten:
    def test_what_is_done_is_done(
        self, site: AdminSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = site.signed_in()

        def fail(*_: Any, **__: Any) -> None:
            raise AutoReconnect("away")

        monkeypatch.setattr(site.log._collection, "insert_one", fail)
        added = client.post("/api/admin/admins", json={"email": OTHER, "password": PASSWORD})
        assert added.status_code == 201
        (record,) = [r for r in caplog.records if r.message == "activity_not_recorded"]
        assert record.levelname == "ERROR"
        assert OTHER not in str(vars(record)), "a person's address is not for the service's log"


def test_every_event_has_words() -> None:
    assert set(WORDS) == set(Event)


def test_entries_expire_by_an_index() -> None:
    wanted = {each.field: each.expires for each in WANTED if each.collection == LOG}
    assert wanted == {"endsAt": True, "at": False}


def knows_the_collection(path: Path) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "dmstats.db.collection_names"
        and any(alias.name == "ACTIVITY_LOG" for alias in node.names)
        for node in ast.walk(ast.parse(path.read_text()))
    )


def test_a_forgotten_account_is_named_no_more(site: AdminSite) -> None:
    """Its entries stay: that somebody changed something, and when."""
    actor = Actor(ActorKind.PERSON, EMAIL, "127.0.0.1")
    for account in ("17841400000000001", "17841400000000002"):
        site.log.add(Event.ACCOUNT_CHANGED, actor, account, "name: cafe")
    site.log.forget("17841400000000001", "account 0123")
    found = {(entry.target, entry.details) for entry in site.log.page(LogFilter(), limit=9)[0]}
    assert found == {("account 0123", ""), ("17841400000000002", "name: cafe")}


def test_entries_are_only_ever_added() -> None:
    """No module but this one knows the collection, and this one inserts, finds, and replaces the
    name of a forgotten account."""
    root = Path(activity_log.__file__).parents[2]
    importing = {path.name for path in root.rglob("*.py") if knows_the_collection(path)}
    assert importing == {"activity_log.py", "indexes.py"}
    tree = ast.parse(Path(activity_log.__file__).read_text())
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "self._collection"
    }
    assert called == {"insert_one", "find", "update_many"}
