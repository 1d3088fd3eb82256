"""`flask audit` as an operator runs it, and the audit of a server without transactions."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from dmstats.app import create_app
from dmstats.commit.increments import merge
from dmstats.core.clock import HOUR_MS, SystemClock, to_datetime
from dmstats.core.exit_codes import INTERRUPTED
from dmstats.core.settings import Settings
from dmstats.core.stopping import StopSignal
from dmstats.db.admins.activity_log import Actor, ActorKind, Event
from dmstats.db.client import Mongo, connect
from tests.auditing import Auditing, auditing, event, named
from tests.servers import Secantus, running

pytestmark = pytest.mark.live


@pytest.fixture
def store(mongo: Mongo) -> Iterator[Auditing]:
    with auditing(mongo, SystemClock()) as store:
        store.count(*store.traffic(store.clock.now_ms()))
        yield store


@pytest.fixture
def app(mongodb_uri: str, mongo: Mongo) -> Iterator[Flask]:
    secret = "secret-of-the-test"
    settings = Settings(
        mongodb_uri=mongodb_uri,
        mongodb_db=mongo.db.name,
        redis_url="redis://127.0.0.1:1/0",
        meta_app_secrets=(secret,),
        meta_verify_token=secret,
        cron_secret=secret,
        secret_key=secret,
    )
    app = create_app(settings)
    yield app
    app.extensions["dmstats"].stop()


def corrupt(store: Auditing) -> None:
    hour = store.clock.now_ms() // HOUR_MS * HOUR_MS
    store.db["dmstats_hours"].update_one({"_id": to_datetime(hour)}, {"$inc": {"sent": 2}})


def test_it_works(app: Flask, store: Auditing) -> None:
    result = app.test_cli_runner().invoke(args=["audit"])
    assert result.exit_code == 0, result.output
    assert "verified: drift 0" in result.stdout


def test_drift_is_shown_and_fails_until_it_is_repaired(app: Flask, store: Auditing) -> None:
    corrupt(store)
    run = app.test_cli_runner()
    shown = run.invoke(args=["audit"])
    assert shown.exit_code == 1
    assert "off by 2" in shown.stdout
    told = run.invoke(args=["audit", "--json"])
    assert told.exit_code == 1
    result = json.loads(told.stdout)
    (difference,) = result["differences"]
    assert (result["drift"], difference["place"], difference["field"]) == (2, "hours", "sent")
    assert difference["key"].endswith(":00:00.000Z")
    repaired = run.invoke(args=["audit", "--repair"])
    assert repaired.exit_code == 0
    assert "repaired" in repaired.stdout
    (entry,) = store.db["dmstats_activity_log"].find({})
    assert re.fullmatch(r"audit --repair: [1-9]\d* counters corrected", entry["details"])
    assert (entry["event"], entry["actorKind"]) == ("command-run", "command")
    assert json.loads(run.invoke(args=["audit", "--json"]).stdout) == {
        "drift": 0, "differences": [], "repaired": [], "changedByPlatform": [],
        "accountsChangedByPlatform": 0, "unreadable": [], "documentsUnreadable": 0,
    }  # fmt: skip


def test_an_interrupted_audit_is_reported_and_resumed(
    app: Flask, store: Auditing, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = app.test_cli_runner()
    with monkeypatch.context() as patch:
        patch.setattr(StopSignal, "wait", lambda *_: True)
        interrupted = run.invoke(args=["audit"])
    assert interrupted.exit_code == INTERRUPTED
    assert interrupted.stdout == ""
    assert "Interrupted. The next audit resumes here" in interrupted.stderr
    assert "verified: drift 0" in run.invoke(args=["audit"]).stdout


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secantus]:
    with running(Secantus(tmp_path_factory.mktemp("standalone"), standalone=True)) as server:
        yield server


class TestStandalone:
    """Without transactions the audit waits until a difference has stood still."""

    @pytest.fixture
    def alone(self, standalone: Secantus) -> Iterator[Auditing]:
        name = f"alone_{uuid.uuid4().hex[:12]}"
        mongo = connect(Settings(mongodb_uri=standalone.uri, mongodb_db=name))
        yield Auditing(mongo, SystemClock(), sleep=lambda _: time.sleep(0.5))
        mongo.close()

    @staticmethod
    def count(store: Auditing, *rows: Any) -> None:
        store.batches.find_existing(rows, seconds=5)
        store.batches.write_unordered(rows, merge, seconds=5)

    def test_what_a_crash_left_is_found_and_added(self, alone: Auditing) -> None:
        alone.migrate()
        assert not alone.batches.transactional
        now = alone.clock.now_ms()
        self.count(alone, *alone.traffic(now))
        assert alone.found() == set()
        alone.ledger.insert_new([event(now, account="new"), event(now)])
        assert alone.audit().drift == 2
        assert alone.audit(repair=True).differences == []
        assert alone.found() == set()

    def test_what_is_under_way_is_no_drift(self, alone: Auditing) -> None:
        alone.migrate()
        over = threading.Event()

        def send() -> None:
            while not over.wait(0.02):
                self.count(alone, *alone.traffic(alone.clock.now_ms()))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(4):
                assert named(alone.audit().differences) == set()
        finally:
            over.set()
            sender.join()
        assert alone.found() == set()


def test_an_account_is_forgotten(app: Flask, store: Auditing) -> None:
    """What is printed and recorded names it by a digest; the snapshot no longer has it."""
    account = "17841400000000077"
    store.count(event(store.clock.now_ms(), account=account))
    log = app.extensions["dmstats"].activity_log
    log.add(Event.ACCOUNT_CHANGED, Actor(ActorKind.PERSON, "ada", "here"), account, "name")
    run = app.test_cli_runner()
    assert run.invoke(args=["forget-account", account], input="n\n").exit_code != 0
    done = run.invoke(args=["forget-account", account, "--yes"])
    assert done.exit_code == 0, done.output
    assert "1 DMs sent, 0 received" in done.stdout
    changed, entry = store.db["dmstats_activity_log"].find(sort=[("_id", 1)])
    assert (entry["event"], changed["event"]) == ("account-forgotten", "account-changed")
    assert entry["details"] == changed["target"]
    assert entry["details"] in done.stdout
    for name in store.db.list_collection_names():
        assert account not in repr(list(store.db[name].find())), name
    refused = run.invoke(args=["forget-account", "simulated-1", "--yes"])
    assert refused.exit_code == 1
    assert run.invoke(args=["audit"]).exit_code == 0
