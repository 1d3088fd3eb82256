"""`dmstats test-alert` and `dmstats doctor` reach the channels that admins made, too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmstats.cli.alert_command import test_alert as command
from dmstats.core.settings import Settings
from dmstats.db.alerting import AlertingStore, StoredChannel
from dmstats.db.client import Mongo
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health
from dmstats.ops.channels import known_channels
from dmstats.ops.doctor import Doctor
from dmstats.ops.findings import Finding, Verdict, passed
from tests.servers import free_port

pytestmark = pytest.mark.live

SECRET = "secret-of-the-test-0123456789"


class Chat(BaseHTTPRequestHandler):
    """Refuses what is sent to /refused."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if self.path == "/refused" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not logged."""


@pytest.fixture
def chat() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Chat) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def settings(
    mongodb_uri: str, mongo: Mongo, chat: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Settings:
    """Those of the commands; one channel is set."""
    environ = {
        "MONGODB_URI": mongodb_uri, "MONGODB_DB": mongo.db.name,
        "REDIS_URL": "redis://127.0.0.1:1/0", "DMSTATS_DATA_DIR": str(tmp_path),
        "META_APP_SECRET": SECRET, "META_VERIFY_TOKEN": SECRET, "CRON_SECRET": SECRET,
        "SECRET_KEY": SECRET, "DMSTATS_ALERT_URL": f"{chat}/set",
    }  # fmt: skip
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return Settings(
        mongodb_uri=mongodb_uri, secret_key=SECRET, alert_urls=(f"{chat}/set",), data_dir=tmp_path
    )


def make(mongo: Mongo, settings: Settings, name: str, url: str) -> None:
    sealed = known_channels(settings, mongo).seal(url)
    AlertingStore(mongo).save_channel(StoredChannel(name, sealed))


def run() -> tuple[int, str]:
    done = CliRunner().invoke(command)
    return done.exit_code, done.output


def findings(mongo: Mongo, settings: Settings) -> list[Finding]:
    doctor = Doctor(
        settings, Health(mongo), SnapshotStore(mongo), None, migrations=[],  # type: ignore[arg-type]
        probe_redis=lambda: iter(()), probe_webhook=lambda: passed("webhook", "fine"),
        channels=known_channels(settings, mongo),
    )  # fmt: skip
    return list(doctor._check_channels())


def test_it_works(settings: Settings, mongo: Mongo, chat: str) -> None:
    make(mongo, settings, "Team", f"{chat}/team")
    assert run() == (0, "127.0.0.1: sent\nTeam: sent\n")
    assert [each.verdict for each in findings(mongo, settings)] == [Verdict.OK] * 2


def test_one_of_the_page_that_is_not_told(settings: Settings, mongo: Mongo, chat: str) -> None:
    make(mongo, settings, "Team", f"{chat}/refused")
    code, said = run()
    assert code == 1
    assert "Team: status 400" in said
    assert "1 of 2 alerts could not be sent." in said
    known = AlertingStore(mongo)
    known.save_channel(StoredChannel("Old key", "sealed1:eHh4"))
    last = findings(mongo, settings)[-1]
    assert last.verdict is Verdict.FAILURE
    assert last.found.startswith("Old key: SECRET_KEY has changed")
    assert "/alerts" in last.remedy


def test_without_a_channel(
    settings: Settings, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DMSTATS_ALERT_URL")
    code, said = run()
    assert (code, "no channel in DMSTATS_ALERT_URL or on the page" in said) == (2, True)


def test_without_mongodb_those_of_the_setting_are_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"
    monkeypatch.setenv("MONGODB_URI", uri)
    code, said = run()
    assert code == 1
    assert said.startswith("127.0.0.1: sent\n")
    assert "channels created on the page were not tested" in said
