"""`flask doctor`: what it finds, and that it says what to do about each fault."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from bson.int64 import Int64
from redis.backoff import NoBackoff
from redis.retry import Retry

import migrations
from dmstats.core.clock import ManualClock, SystemClock
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health, Server
from dmstats.ops.doctor import Doctor
from dmstats.ops.findings import Finding, Verdict, passed
from dmstats.ops.redis_probe import probe_redis
from dmstats.ops.webhook_probe import probe_webhook
from tests.keyspace import KEYS, LEASE_KEY
from tests.launched import Started
from tests.live.conftest import Dmstats
from tests.servers import free_port

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
SETTINGS = Settings()
Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def examine(mongo: Mongo, redis_client: redis.Redis, tmp_path: Path) -> Examine:
    """The findings by what was checked; of several of one kind the last."""

    def run(
        settings: Settings = SETTINGS,
        mongo: Mongo = mongo,
        client: redis.Redis = redis_client,
        clock: SystemClock | ManualClock | None = None,
    ) -> dict[str, Finding]:
        doctor = Doctor(
            replace(settings, data_dir=tmp_path / "not" / "there" / "yet"),
            Health(mongo),
            SnapshotStore(mongo),
            clock or SystemClock(),
            migrations=migrations.names(),
            probe_redis=lambda: probe_redis(client, KEYS, "pubsub"),
            probe_webhook=lambda: passed("webhook", "fine"),
            probe_provider=lambda: passed("single sign-on", "fine"),
        )
        findings = list(doctor.examine())
        for finding in findings:
            wanting = finding.verdict in (Verdict.WARNING, Verdict.FAILURE)
            assert bool(finding.remedy) == wanting, finding
        return {finding.check: finding for finding in findings}

    return run


def test_it_works(examine: Examine, mongo: Mongo, redis_client: redis.Redis) -> None:
    migrations.apply(mongo, SETTINGS)
    SnapshotStore(mongo).save({}, SystemClock().now_ms(), term=1)
    redis_client.set(LEASE_KEY, "somebody", px=40_000)
    found = examine()
    assert [check for check, one in found.items() if one.verdict is Verdict.FAILURE] == []
    for check in ("settings", "mongodb", "transactions", "clock", "migrations", "indexes",
                  "commit", "account ids", "refresh", "redis", "lease", "webhook",
                  "single sign-on"):  # fmt: skip
        assert found[check].verdict is Verdict.OK, found[check]


def test_an_empty_database_lacks_migrations_and_indexes(examine: Examine) -> None:
    found = examine()
    assert found["migrations"].verdict is Verdict.FAILURE
    assert "python -m migrations" in found["migrations"].remedy
    assert "instagram_accounts.instagramId" in found["indexes"].found
    assert found["refresh"].verdict is Verdict.WARNING
    assert found["lease"].verdict is Verdict.WARNING


def test_an_index_that_is_not_unique_will_not_do(examine: Examine, mongo: Mongo) -> None:
    migrations.apply(mongo, SETTINGS)
    accounts = mongo.db["instagram_accounts"]
    accounts.drop_index("dmstats_instagramId_unique")
    assert "instagram_accounts.instagramId" in examine()["indexes"].found


def test_reports_ids_that_are_not_strings(examine: Examine, mongo: Mongo) -> None:
    migrations.apply(mongo, SETTINGS)
    odd = mongo.db["instagram_accounts"].insert_one({"instagramId": Int64(5)}).inserted_id
    found = examine()["account ids"]
    assert found.verdict is Verdict.FAILURE
    assert repr(odd) in found.found
    assert "updateMany" in found.remedy


def test_reports_a_unique_index_that_blocks_new_accounts(examine: Examine, mongo: Mongo) -> None:
    migrations.apply(mongo, SETTINGS)
    mongo.db["instagram_accounts"].create_index("userId", unique=True, name="host")
    found = examine()["indexes"]
    assert found.verdict is Verdict.WARNING
    assert 'unique index "host" of instagram_accounts is on userId' in found.found


def test_a_changed_retention_shows_on_the_late_rows(examine: Examine, mongo: Mongo) -> None:
    migrations.apply(mongo, SETTINGS)
    assert "retention" not in examine()
    found = examine(replace(SETTINGS, ledger_retention_hours=48))["retention"]
    assert "expireAfterSeconds: 172800" in found.remedy


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(-300, Verdict.FAILURE), (10, Verdict.WARNING), (0, Verdict.OK)]
)
def test_reports_a_wrong_clock(examine: Examine, seconds: int, verdict: Verdict) -> None:
    clock = ManualClock(SystemClock().now_ms() + seconds * 1000)
    assert examine(clock=clock)["clock"].verdict is verdict


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [(None, Verdict.SKIPPED), (5, Verdict.OK), (60, Verdict.WARNING)],
)
def test_reports_a_long_transaction_lifetime(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, seconds: int | None, verdict: Verdict
) -> None:
    monkeypatch.setattr(Health, "server", lambda self: Server("8.0", True, seconds))
    found = examine()["transaction lifetime"]
    assert found.verdict is verdict
    assert ("transactionLifetimeLimitSeconds: 5" in found.remedy) == (verdict is Verdict.WARNING)


def test_reports_a_standalone_server(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Health, "server", lambda self: Server("8.0", False, None))
    assert "replica set" in examine()["transactions"].remedy


@pytest.mark.parametrize(
    ("total", "free", "verdict"),
    [
        (10**12, 10**11, Verdict.OK),
        (10**12, 10**10, Verdict.FAILURE),
        (10**10, 9 * 10**8, Verdict.FAILURE),
    ],
)
def test_reports_a_full_disk(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, total: int, free: int, verdict: Verdict
) -> None:
    usage = SimpleNamespace(total=total, free=free)
    monkeypatch.setattr("dmstats.ops.doctor.shutil.disk_usage", lambda path: usage)
    assert examine()["disk"].verdict is verdict


def test_reports_questionable_settings(examine: Examine) -> None:
    found = examine(replace(SETTINGS, refresh_interval=10))["settings"]
    assert found.verdict is Verdict.WARNING
    assert "STATS_REFRESH_INTERVAL" in found.found


def test_reports_old_figures(examine: Examine, mongo: Mongo) -> None:
    SnapshotStore(mongo).save({}, SystemClock().now_ms() - 100_000, term=1)
    assert examine()["refresh"].verdict is Verdict.FAILURE


def test_reports_each_unreachable_database(examine: Examine) -> None:
    nowhere = connect(Settings(mongodb_uri=f"mongodb://127.0.0.1:{free_port()}/"))
    client = redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))
    found = examine(mongo=nowhere, client=client)
    assert found["mongodb"].verdict is Verdict.FAILURE
    assert found["redis"].verdict is Verdict.FAILURE
    assert found["disk"].check == "disk"
    nowhere.close()
    client.close()


def test_a_running_service_is_in_good_health(service: Started) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("flask")), "doctor", "--json"],
        cwd=ROOT, env=service.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert findings["webhook"]["verdict"] == "ok"
    assert set(findings["webhook"]) == {"check", "verdict", "found", "remedy"}


def test_a_wrong_address_is_a_failure_in_words(service: Started, dmstats: Dmstats) -> None:
    done = dmstats(service.environ, "doctor", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "does not answer: connection refused" in " ".join(done.stdout.split())
    assert "→ Check that the service" in done.stdout


def test_a_wrong_secret_shows_at_the_webhook(service: Started) -> None:
    base = f"http://127.0.0.1:{service.environ['PORT']}"
    secrets = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    token = (secrets / "META_VERIFY_TOKEN").read_text().strip()
    assert "the handshake with 403" in probe_webhook(base, "not-the-token", "x").found
    assert "a signed delivery with 401" in probe_webhook(base, token, "not-the-secret").found
    assert token not in probe_webhook(base, token, "not-the-secret").found
