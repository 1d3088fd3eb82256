"""What else stands in MONGODB_URI: harmless, or red on /readyz and in doctor."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import migrations
from dmstats.core.clock import SystemClock
from dmstats.core.errors import ConfigError, StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.commit_probe import CommitProbe
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health
from dmstats.ops.doctor import Doctor
from dmstats.ops.findings import Finding, Verdict, passed
from dmstats.ops.readiness import Readiness
from tests.auditing import Auditing, auditing, event
from tests.servers import Secantus, running

pytestmark = pytest.mark.live

HARMLESS = (
    "readPreference=primaryPreferred",
    "readPreference=secondary",
    "readPreference=secondaryPreferred&maxStalenessSeconds=90",
    "readPreference=nearest&readPreferenceTags=dc:east",
    "readConcernLevel=local",
    "readConcernLevel=majority",
    "readConcernLevel=linearizable",
    "readConcernLevel=snapshot",
    "readConcernLevel=available",
    "w=0",
    "w=1",
    "w=3&wtimeoutMS=1",
    "journal=true",
    "wtimeoutMS=1",
    "timeoutMS=1",
    "socketTimeoutMS=1",
    "connectTimeoutMS=1",
    "serverSelectionTimeoutMS=1",
    "waitQueueTimeoutMS=1",
    "heartbeatFrequencyMS=600000",
    "maxPoolSize=1",
    "retryReads=false",
    "compressors=zlib",
    "directConnection=true",
    "uuidRepresentation=standard",
    "appName=host",
    "tz_aware=false",
    "unicode_decode_error_handler=ignore",
    "readPreference=secondary&readConcernLevel=snapshot&w=0",
    "readPreference=nearest&readConcernLevel=linearizable&w=1&journal=false",
    "w=7",
    "w=nowhere",
    "localThresholdMS=0",
    "minPoolSize=5",
    "maxIdleTimeMS=1",
    "maxConnecting=1",
    "serverMonitoringMode=poll",
    "datetime_conversion=DATETIME",
    "compressors=zlib&zlibCompressionLevel=9",
    "tls=false",
    "authSource=admin",
    "maxPoolSize=0",
    "uuidRepresentation=pythonLegacy&tz_aware=true",
    "readPreference=secondary&readPreferenceTags=dc:east&readPreferenceTags=",
    "w=majority&journal=true&wtimeoutMS=1&readConcernLevel=majority",
)

HARMFUL = ("replicaSet=another", "tls=true", "loadBalanced=true")


@contextmanager
def connected(uri: str, options: str = "appName=tests") -> Iterator[Mongo]:
    settings = Settings(
        mongodb_uri=f"{uri}{'&' if '?' in uri else '?'}{options}",
        mongodb_db=f"test_{uuid.uuid4().hex[:12]}",
    )
    with closing(connect(settings)) as mongo:
        yield mongo


def examined(mongo: Mongo, folder: Path) -> dict[str, Finding]:
    doctor = Doctor(
        Settings(data_dir=folder),
        Health(mongo),
        SnapshotStore(mongo),
        SystemClock(),
        migrations=migrations.names(),
        probe_redis=lambda: iter([passed("redis", "fine")]),
        probe_webhook=lambda: passed("webhook", "fine"),
    )
    return {finding.check: finding for finding in doctor.examine()}


def readiness(mongo: Mongo) -> Readiness:
    """What /readyz answers by."""
    return Readiness(CommitProbe(mongo).try_commit, SystemClock())


@pytest.mark.parametrize("options", HARMLESS)
def test_harmless_options_never_reach_a_commit_nor_an_audit(
    mongodb_uri: str, options: str, tmp_path: Path
) -> None:
    clock = SystemClock()
    with connected(mongodb_uri, options) as mongo, auditing(mongo, clock) as store:
        store.count(event(clock.now_ms()), event(clock.now_ms()))
        assert store.total()["dmsSent"] == 2
        assert store.found() == set()
        assert not readiness(mongo).failure()
        found = examined(mongo, tmp_path)
        for check in ("mongodb", "transactions", "commit", "migrations", "indexes"):
            assert found[check].verdict is Verdict.OK, found[check]


def test_what_keeps_a_commit_from_the_server_is_red(mongodb_uri: str, tmp_path: Path) -> None:
    """All at the same time, as each of them waits for the server in vain."""

    def judged(options: str) -> tuple[bool, Verdict]:
        with connected(mongodb_uri, f"{options}&serverSelectionTimeoutMS=500") as mongo:
            return bool(readiness(mongo).failure()), examined(mongo, tmp_path)["mongodb"].verdict

    with ThreadPoolExecutor() as pool:
        found = dict(zip(HARMFUL, pool.map(judged, HARMFUL), strict=True))
    assert found == dict.fromkeys(HARMFUL, (True, Verdict.FAILURE))


@pytest.mark.parametrize(
    "options",
    ["maxStalenessSeconds=90", "datetime_conversion=datetime", "loadBalanced=true&replicaSet=x",
     "srvMaxHosts=1", "authSource=", "tls=true&tlsCAFile=/nowhere/ca.pem"],
)  # fmt: skip
def test_an_option_that_cannot_be_read_stops_the_start(mongodb_uri: str, options: str) -> None:
    """The first contradicts readPreference=primary."""
    with pytest.raises(ConfigError, match="MONGODB_URI"), connected(mongodb_uri, options):
        pass


@pytest.mark.parametrize("name", ["a.b", "a b", "$x", "a/b", "x" * 64, "\u00e9" * 32])
def test_a_database_name_that_mongodb_refuses_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="MONGODB_DB: database names"):
        connect(Settings(mongodb_uri="mongodb://127.0.0.1:1", mongodb_db=name))


def test_a_probe_leaves_nothing_even_before_the_migrations(mongo: Mongo) -> None:
    CommitProbe(mongo).try_commit()
    for name in mongo.db.list_collection_names():
        assert mongo.db[name].count_documents({}) == 0


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secantus]:
    """A server whose commands can be failed."""
    with running(Secantus(tmp_path_factory.mktemp("spoilt"), test_commands=True)) as server:
        yield server


REFUSALS = {
    "NotWritablePrimary, as a secondary by directConnection says": 10107,
    "Unauthorized, as a user with read alone is told": 13,
    "AtlasError, as a full disk is told": 8000,
    "OutOfDiskSpace": 14031,
    "Maintenance": 11600,
}


@pytest.mark.parametrize("code", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_server_that_answers_pings_and_takes_no_write_is_red(
    spoilt: Secantus, code: int, tmp_path: Path
) -> None:
    with connected(spoilt.uri) as mongo:
        migrations.apply(mongo, Settings())
        with spoilt.failing(failCommands=["update"], errorCode=code):
            mongo.ping()
            assert readiness(mongo).failure()
            found = examined(mongo, tmp_path)
            assert found["mongodb"].verdict is Verdict.OK
            assert found["commit"].verdict is Verdict.FAILURE
        assert not readiness(mongo).failure()


def test_a_standalone_that_becomes_a_replica_set_gets_transactions(tmp_path: Path) -> None:
    server, clock = Secantus(tmp_path, standalone=True), SystemClock()
    with (
        running(server),
        connected(server.uri, "directConnection=true") as mongo,
        auditing(mongo, clock) as store,
    ):
        assert not store.batches.transactional
        assert not store.work.transactional
        CommitProbe(mongo).try_commit()
        server.stop()
        with running(Secantus(tmp_path, port=server.port)):
            assert store.batches.transactional
            assert store.work.transactional
            store.count(event(clock.now_ms()))
            assert store.total()["dmsSent"] == 1


class Uninitiated:
    """Answers as a member of a replica set that is not initiated does."""

    def __init__(self) -> None:
        self.admin = self

    def command(self, name: str) -> dict[str, Any]:
        assert name == "hello"
        return {"isWritablePrimary": False, "isreplicaset": True, "ok": 1.0}


def test_a_replica_set_that_is_not_initiated_counts_nothing(mongo: Mongo) -> None:
    with connected("mongodb://127.0.0.1:1/") as uninitiated:
        client, uninitiated.client = uninitiated.client, Uninitiated()  # type: ignore[assignment]
        with pytest.raises(StoreUnavailable, match=r"rs\.initiate"):
            uninitiated.transactional()
        uninitiated.client = client
    assert Auditing(mongo, SystemClock()).batches.transactional
