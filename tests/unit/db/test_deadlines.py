"""No read waits for ever: what comes of a MongoDB that takes each command and answers none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from typing import Any

import pymongo
import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import DmstatsError
from dmstats.core.settings import Settings
from dmstats.db import client
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.audit.activity_store import Activities
from dmstats.db.audit.archive import Archive
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.audit.runs import AuditRuns
from dmstats.db.client import Mongo, connect
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.counting.ledger import Ledger
from dmstats.db.dashboard import snapshot_store
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.history import HistoryStore
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health
from dmstats.db.installation import Installation
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.web.middleware.database_deadline import REFRESH_SECONDS
from tests.wire import WireServer, wire_server

LIMIT_SECONDS = 0.05
LATEST_SECONDS = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[WireServer]:
    with wire_server() as server:
        server.silent = True
        yield server


@pytest.fixture
def mongo(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mongo]:
    really = pymongo.timeout

    def shortened(seconds: float | None) -> AbstractContextManager[object]:
        return really(None if seconds is None else min(seconds, LIMIT_SECONDS))

    monkeypatch.setattr(client, "OPERATION_MS", LIMIT_SECONDS * 1000)
    monkeypatch.setattr(pymongo, "timeout", shortened)
    uri = f"mongodb://{server.address}/test?replicaSet=rs"
    with closing(connect(Settings(mongodb_uri=uri))) as mongo:
        yield mongo


def ledger(mongo: Mongo) -> Ledger:
    return Ledger(mongo, retention_hours=168)


def archive(mongo: Mongo) -> Archive:
    return Archive(mongo, ledger(mongo), TransactionRunner(mongo))


CLOCK = ManualClock(1_800_000_000_000)
READS: dict[str, Callable[[Mongo], Any]] = {
    "accounts page": lambda mongo: AccountDirectory(mongo).one("1"),
    "activity": lambda mongo: Activities(mongo).of("a"),
    "admin": lambda mongo: AdminStore(mongo).find("a@example.com"),
    "admins": lambda mongo: AdminStore(mongo).list(),
    "archive": lambda mongo: archive(mongo).finish_closing(),
    "audit, plan": lambda mongo: AuditRuns(mongo, ledger(mongo)).plan(),
    "audit, begin": lambda mongo: AuditRuns(mongo, ledger(mongo)).begin("x", 1, 1),
    "audit, partitions": lambda mongo: AuditRuns(mongo, ledger(mongo)).live(),
    "audit, under way": lambda mongo: AuditRuns(mongo, ledger(mongo)).under_way(),
    "backlog": lambda mongo: AccountBacklog(mongo, TransactionRunner(mongo), CLOCK).waiting(),
    "baseline": lambda mongo: Baseline(mongo).dms([3_600_000], 60),
    "health": lambda mongo: Health(mongo).migrations(),
    "history": lambda mongo: HistoryStore(mongo).first_ms(),
    "installation": lambda mongo: Installation(mongo).name(),
    "late rows": lambda mongo: archive(mongo).archive_late(CLOCK.now_ms()),
    "odd documents": lambda mongo: OddDocuments(mongo).listed(),
    "partitions": lambda mongo: ledger(mongo).expired(CLOCK.now_ms()),
    "population": lambda mongo: PopulationCounts(mongo, CLOCK).recount(),
    "session": lambda mongo: SessionStore(mongo, CLOCK).find("x"),
    "sessions": lambda mongo: SessionStore(mongo, CLOCK).last_ending(),
    "snapshot": lambda mongo: SnapshotStore(mongo).load(),
    "term": lambda mongo: SnapshotStore(mongo).last_term(),
}


def test_a_refresh_for_a_request_that_may_wait_ends_early(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_store, "FIRST_READ_SECONDS", LIMIT_SECONDS)
    uri = f"mongodb://{server.address}/test?replicaSet=rs"
    with closing(connect(Settings(mongodb_uri=uri))) as mongo:
        started = time.monotonic()
        with client.deadline(REFRESH_SECONDS), pytest.raises(DmstatsError):
            SnapshotStore(mongo).last_seq()
        assert time.monotonic() - started < LATEST_SECONDS


def test_a_client_is_closed_soon_whose_server_has_become_silent() -> None:
    with wire_server() as server:
        mongo = connect(Settings(mongodb_uri=f"mongodb://{server.address}/test?replicaSet=rs"))
        mongo.ping()
        server.silent = True
        started = time.monotonic()
        mongo.close()
        assert time.monotonic() - started < client.OPERATION_MS / 1000


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_has_a_deadline(mongo: Mongo, read: Callable[[Mongo], Any]) -> None:
    started = time.monotonic()
    with pytest.raises(DmstatsError):
        read(mongo)
    assert time.monotonic() - started < LATEST_SECONDS


@pytest.mark.parametrize(
    "options",
    [
        "appName=a",
        "maxPoolSize=1",
        "maxPoolSize=5&maxConnecting=1",
        "minPoolSize=200&maxPoolSize=0",
    ],
)
def test_no_option_of_the_uri_makes_deliveries_wait_for_a_connection(options: str) -> None:
    uri = f"mongodb://127.0.0.1:1/?waitQueueTimeoutMS=1&{options}"
    with closing(connect(Settings(mongodb_uri=uri))) as mongo:
        pool = mongo.client.options.pool_options
        assert (pool.max_pool_size, pool.max_connecting) == (client.POOL_SIZE, client.CONNECTING)
        assert pool.wait_queue_timeout == client.OPERATION_MS / 1000
