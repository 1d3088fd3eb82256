"""The whole application beside any value in any field of our own documents.

No job may end with an error, and no page or API route with a 500. tests/live/test_own_values.py
checks that the figures stay right.

OWN_EXAMPLES=500 python -m pytest tests/live/test_own_documents.py tries more.
"""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from bson.errors import BSONError
from hypothesis import given, note
from hypothesis import strategies as st
from pymongo.errors import PyMongoError

from dmstats.app import create_app
from dmstats.audit.auditor import Outcome
from dmstats.core.clock import DAY_MS, MINUTE_MS, SystemClock
from dmstats.core.settings import Settings
from dmstats.db import collection_names as names
from dmstats.db.account_edits import AccountEdits
from dmstats.db.account_marks import AccountMarks
from dmstats.db.admins.activity_log import Actor, ActorKind, Event
from dmstats.db.admins.passkeys import Purpose
from dmstats.db.admins.scopes import Scope
from dmstats.db.admins.shared_links import Part
from dmstats.db.alerting import Rule, StoredChannel
from dmstats.db.client import Mongo, connect
from dmstats.db.counting.simulations import Simulations
from dmstats.db.delivery_store import PARTIAL, DeliveryRecord, EventName, RejectedEvent
from dmstats.db.incidents import Alert, IncidentRecord, record_id
from dmstats.db.send_store import Send
from dmstats.ops.jobs import keep_partitions
from dmstats.services import Services
from tests.auditing import auditing, event
from tests.bson_values import slow_examples, values
from tests.kept import KeptCollections

pytestmark = [pytest.mark.live, pytest.mark.slow(30)]

Place = tuple[str, Any, tuple[str | int, ...]]
TOKEN, SECRET = "api-token-of-the-test", "secret-of-the-test"
EMAIL, PASSWORD = "ada@example.com", "correct horse battery"
STREAMS = ("/api/admin/stats/stream", "/shared/<link>/stream")
WAITING = 503
"""An answer of routes that need what an audit leaves, where that cannot be read."""
AT_ONCE = 8
EMPTY = {
    names.COMMIT_PROBE: "nothing is read from it",
    names.ARCHIVE_SIMULATED: "only a purge reads it: tests/live/test_purge.py",
}
OWN = {
    name
    for variable, name in vars(names).items()
    if variable.isupper() and name.startswith(names.OWN_PREFIX) and not name.endswith("_")
}
"""Every collection of ours, so that a new one cannot be forgotten."""


class Site:
    """The application on real databases, with a document of every kind."""

    def __init__(self, mongodb_uri: str, redis_url: str, folder: Path) -> None:
        self.settings = Settings(
            mongodb_uri=mongodb_uri, mongodb_db=f"test_{secrets.token_hex(6)}", redis_url=redis_url,
            data_dir=folder, meta_app_secrets=(SECRET,), meta_verify_token=SECRET * 2,
            cron_secret=SECRET, secret_key=SECRET * 2, admin_api_token=TOKEN,
            account_edits="operator",
        )  # fmt: skip
        self.app = create_app(self.settings)
        self.services: Services = self.app.extensions["dmstats"]
        self.mongo: Mongo = connect(self.settings)
        self.db = self.mongo.db
        self.now = SystemClock().now_ms()
        self._fill()
        self.kept = {
            name: list(self.db[name].find())
            for name in sorted(self.db.list_collection_names())
            if name.startswith(names.OWN_PREFIX) or name == names.STATS_CACHE
        }
        self._all = KeptCollections(
            self.mongo,
            lambda name: (
                name.startswith(names.OWN_PREFIX) or name in (names.STATS_CACHE, names.ACCOUNTS)
            ),
        )

    def _fill(self) -> None:
        services, now = self.services, self.now
        with auditing(self.mongo, SystemClock()) as store:
            store.count(*store.traffic(now - 9 * DAY_MS))
            keep_partitions(store.ledger, store.archive, now)
            store.count(*store.traffic(now))
            self.db[names.ACCOUNTS].insert_one({"instagramId": "odd", "dmUsed": None})
            store.count(event(now, account="odd"))
            self.db[names.ACCOUNTS].update_one({"instagramId": "b"}, {"$inc": {"dmUsed": 3}})
            store.audit()
            self.db[names.HOURS].update_one({"sent": {"$gt": 0}}, {"$inc": {"sent": 5}})
            store.audit(repair=True)
        person = services.admins.create(EMAIL, PASSWORD)
        self.session = self.app.test_client()
        answer = self.session.post("/login", json={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        services.passkeys.add(person.id, "key", "credential", b"key", 0)
        services.passkeys.challenge(Purpose.SIGN_IN)
        _, self.token = services.tokens.create("script", list(Scope), days=9, made_by=EMAIL)
        self.link_id, self.link = self._link()
        services.activity_log.add(
            Event.COMMAND_RUN, Actor(ActorKind.COMMAND, "root", "here"), "x", "y"
        )
        services.annotations.store.add(now, "a note", EMAIL)
        told = [Alert("c", "a channel", "open", now, told=now)]
        self.incident = record_id(now, "silence")
        services.incidents.save(IncidentRecord(self.incident, "silence", "text", now, alerts=told))
        services.alerting.save_channel(
            StoredChannel("mail", services.channels.seal("json://[::1]:9"))
        )
        services.alerting.save_rule(Rule("sent", "above", 5.0, 10))
        rejected = (RejectedEvent("entry[].id", "item", "a"),)
        services.deliveries.add(
            [DeliveryRecord(PARTIAL, now, 200, "", 9, 1, {"sent": 1}, {"sent": 1}, 3.0, "id",
                            rejected)]
        )  # fmt: skip
        services.deliveries.see([EventName("optin", True, now, now, ("a",))])
        at = now - 11 * MINUTE_MS
        services.sends.add([Send(bytes(16), "a", at), Send(bytes(15) + b"x", "b", now)])
        AccountMarks(self.mongo).ask_deletion("a", now, "code")
        edits = AccountEdits(self.mongo, SystemClock())
        edits.write({"a": {"username": "lumen", "monthlyDmLimit": 9}}, edits.find(["a"]))
        Simulations(self.mongo).record("run", 3, now)
        self.run_jobs()
        # Last: the background audit deletes what an interrupted one left, if it ends in one tick.
        with auditing(self.mongo, SystemClock()) as store:
            list(islice(store.auditor().steps("interrupted", Outcome()), 3))

    def _link(self) -> tuple[str, str]:
        link, text = self.services.shared_links.create("wall", list(Part), days=9, made_by=EMAIL)
        return link.id, text

    def places(self) -> list[Place]:
        """Every field, nested ones too, of every document; not the ``_id``."""
        return [
            (name, document["_id"], path)
            for name, documents in self.kept.items()
            for document in documents
            for path in _paths(document)
            if path
        ]

    def restore(self) -> None:
        """As it was before."""
        self._all.restore()
        self.services.redis.flushall()

    def set(self, place: Place, value: Any) -> bool:
        """Whether the database stores that value there."""
        name, key, path = place
        document = next(copy.deepcopy(d) for d in self.kept[name] if d["_id"] == key)
        inner: Any = document
        for field in path[:-1]:
            inner = inner[field]
        inner[path[-1]] = value
        try:
            self.db[name].replace_one({"_id": key}, document)
        except (PyMongoError, BSONError, OverflowError, ValueError):
            return False
        return True

    def run_jobs(self) -> list[str]:
        """Every job of a worker and of the leader once; those that failed."""
        failed = []
        for job in self.services.worker_schedule.args[0]:  # type: ignore[attr-defined]
            try:
                job.run()
            except Exception as error:  # noqa: BLE001 - as the schedule does
                failed.append(f"{job.name}: {error!r}")
        return failed

    def look(self) -> list[str]:
        """Every page and API route, as a script and as somebody signed in; those that failed."""
        failed = []
        script = {"Authorization": f"Bearer {TOKEN}"}
        own = {"Authorization": f"Bearer {self.token}"}
        for path in self._paths():
            for client, headers in (
                (self.app.test_client(), script),
                (self.app.test_client(), own),
                (self.session, {}),
            ):
                answer = client.get(path, headers=headers)
                if answer.status_code >= 500 and not self._may_wait(path, answer.status_code):
                    failed.append(f"{path}: {answer.status_code} {answer.text[:200]}")
        for credentials in ({"email": EMAIL, "password": PASSWORD}, {"email": EMAIL}):
            answer = self.app.test_client().post("/login", json=credentials)
            if answer.status_code >= 500:
                failed.append(f"/login: {answer.status_code}")
        return failed

    @staticmethod
    def _may_wait(path: str, status: int) -> bool:
        return status == WAITING and path.endswith(("/activity", "/history"))

    def _paths(self) -> Iterator[str]:
        samples = {
            "instagram_id": "a", "incident_id": self.incident, "code": "code", "link": self.link,
            "path": "missing.css",
        }  # fmt: skip
        for rule in self.app.url_map.iter_rules():
            if "GET" in (rule.methods or ()) and rule.rule not in STREAMS:
                yield re.sub(r"<(?:\w+:)?(\w+)>", lambda found: samples[found[1]], rule.rule)


def _paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    yield ()
    inside: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        inside = iter(value.items())
    elif isinstance(value, list):
        inside = iter(enumerate(value))
    for field, inner in inside:
        if field != "_id":
            yield from ((field, *path) for path in _paths(inner))


@pytest.fixture(scope="module")
def site(
    mongodb_uri: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    site = Site(mongodb_uri, redis_url, tmp_path_factory.mktemp("var"))
    yield site
    site.mongo.close()
    site.services.orphan_reaper.unregister()
    site.services.stop()


def test_it_works(site: Site) -> None:
    site.restore()
    assert site.run_jobs() == []
    assert site.look() == []


def test_every_collection_of_ours_is_tried(site: Site) -> None:
    assert {name for name in OWN if not site.kept.get(name)} == EMPTY.keys()


@slow_examples(6)
@given(data=st.data())
def test_any_value_in_any_field_of_any_document(site: Site, data: st.DataObject) -> None:
    places = st.sampled_from(site.places())
    odd = data.draw(
        st.lists(st.tuples(places, values), min_size=1, max_size=AT_ONCE, unique_by=_id)
    )
    for place, value in odd:
        note(f"{place} {value!r}")
    try:
        for place, value in odd:
            site.set(place, value)
        assert site.run_jobs() + site.look() == []
    finally:
        site.restore()


def _id(odd: tuple[Place, Any]) -> str:
    """What identifies the document of a place."""
    (name, key, _), _ = odd
    return f"{name} {key!r}"


def _with_dates(value: Any, date: datetime) -> Any:
    """``value`` with ``date`` in place of each date."""
    if isinstance(value, dict):
        return {name: _with_dates(each, date) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_dates(each, date) for each in value]
    return date if isinstance(value, datetime) else value


@pytest.mark.parametrize("year", [1, 1969, 9999])
def test_dates_at_the_ends_of_the_calendar(site: Site, year: int) -> None:
    """Days are added to dates, which must not lead out of the calendar."""
    date = datetime(year, 12 if year > 1 else 1, 31 if year > 1 else 1, tzinfo=UTC)
    try:
        for name, documents in site.kept.items():
            for document in documents:
                changed = _with_dates(document, date) | {"_id": document["_id"]}
                site.db[name].replace_one({"_id": document["_id"]}, changed)
        for name in (names.HOURS, names.DAYS):
            site.db[name].insert_one({"_id": date, "sent": 1})
        assert site.run_jobs() + site.look() == []
    finally:
        site.restore()
