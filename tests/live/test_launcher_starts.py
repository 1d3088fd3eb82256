"""`python -m dmstats` where it cannot start, or not at once, and what it says then."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import migrations
from dmstats.__main__ import run
from dmstats.core.clock import SystemClock
from dmstats.core.errors import StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.client import Mongo, connect
from dmstats.embedded import servers
from dmstats.embedded.launcher import Launcher
from tests.launched import STOP_SECONDS, Started
from tests.servers import bare_environ, free_port, wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow(25)]

Attempt = Callable[[Mapping[str, str]], tuple[int, str]]


@pytest.fixture
def attempt_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Attempt:
    """A start that is expected to fail, in this process: its exit status and output."""

    def attempt_here(environ: Mapping[str, str]) -> tuple[int, str]:
        monkeypatch.setattr(os, "environ", dict(environ))
        status = run(threading.Event())
        return status, "".join(capfd.readouterr())

    return attempt_here


def test_taken_port(attempt_here: Attempt, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, said = attempt_here({"DMSTATS_DATA_DIR": str(tmp_path / "other"), "PORT": port})
    assert code == 2
    assert said == (
        f"dmstats: port {port} on 127.0.0.1 is taken by another program: "
        "stop that one, or set PORT to a free port\n"
    )
    assert not (tmp_path / "other" / "mongodb").exists()


def test_bad_settings(attempt_here: Attempt, tmp_path: Path) -> None:
    wrong = {"PORT": "http", "STATS_TYPO": "1", "SECRET_KEY": "Changeme", "CRON_SECRET": "brief"}
    code, said = attempt_here({"DMSTATS_DATA_DIR": str(tmp_path), **wrong})
    assert code == 2
    assert said.count("\n") == 1
    assert "PORT: must be" in said
    assert "SECRET_KEY: must be at least 8 characters, and not a common default" in said
    assert "CRON_SECRET: must be" in said
    assert "Changeme" not in said
    assert "brief" not in said
    assert "STATS_TYPO: no such setting" in said


def test_folder_that_cannot_be(attempt_here: Attempt, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = attempt_here({"DMSTATS_DATA_DIR": str(tmp_path / "file" / "var")})
    assert code == 2
    assert said.startswith("dmstats: DMSTATS_DATA_DIR: Not a directory")
    assert said.count("\n") == 1


def test_application_that_refuses_to_start(attempt_here: Attempt, tmp_path: Path) -> None:
    """gunicorn's verdict ends everything, and its exit status is handed on."""
    environ = {"DMSTATS_DATA_DIR": str(tmp_path), "PORT": str(free_port())}
    refused = {"GUNICORN_CMD_ARGS": "--worker-class nonsense"}
    code, said = attempt_here({**bare_environ(), **environ, **refused})
    assert code > 0
    assert f"the web server ended with exit status {code}" in said


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    """One that has a folder and started nothing yet."""
    settings = Settings.from_env({"DMSTATS_DATA_DIR": str(tmp_path)})
    for folder in ("secrets", "log"):
        (tmp_path / folder).mkdir()
    launcher = Launcher(settings, os.environ, SystemClock(), threading.Event(), print)
    yield launcher
    launcher._supervisor.stop_all()


def test_a_database_whose_port_was_taken(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, *free = other.getsockname()[1], free_port(), free_port()
        ports = iter([taken, *free])
        monkeypatch.setattr(servers, "free_port", lambda **_: next(ports))
        launcher._start_databases().close()
    assert launcher._embedded["REDIS_URL"] == servers.redis_url(free[0])
    assert launcher._embedded["MONGODB_URI"] == servers.mongodb_uri(free[1])
    assert "Redis ended" in capsys.readouterr().out


def test_a_database_that_cannot_start(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_text("nonsense\n")
    with pytest.raises(StoreUnavailable, match=r"embedded Redis does not start: .*redis\.log"):
        launcher._start_databases()


def test_a_database_that_was_killed_while_it_created_its_files(
    launcher: Launcher, tmp_path: Path
) -> None:
    launcher._start_databases().close()
    launcher._supervisor.stop_all()
    # As after a kill at the call that follows the file's creation: SecantusDB never opens it again.
    (tmp_path / "mongodb" / "secantus_oplog.wt").write_bytes(b"")
    launcher._prepare(launcher._start_databases())
    assert not (tmp_path / "mongodb" / "dmstats-incomplete").exists()


def test_a_new_database_that_is_slow_is_asked_again(
    launcher: Launcher, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the first admin was made by an attempt that seemed to fail."""
    tried: list[str] = []
    apply, first = migrations.apply, AdminStore.first

    def slow_at_first(mongo: Mongo, settings: Settings, **options: Any) -> list[str]:
        tried.append("migrations")
        if len(tried) < 3:
            raise StoreUnavailable("MongoDB: AutoReconnect")
        return apply(mongo, settings, **options)

    def unconfirmed(admins: AdminStore, email: str, password: str) -> bool:
        made = first(admins, email, password)
        tried.append("admin")
        if tried.count("admin") < 2:
            raise StoreUnavailable("MongoDB: NetworkTimeout")
        return made

    monkeypatch.setattr(migrations, "apply", slow_at_first)
    monkeypatch.setattr(AdminStore, "first", unconfirmed)
    launcher._prepare(launcher._start_databases())
    launcher._print_password()
    assert tried == ["migrations", "migrations", "migrations", "admin", "migrations", "admin"]
    said = capsys.readouterr().out
    assert said.count("created the first admin") == 1
    # The next start prints no password.
    mongo = connect(Settings(mongodb_uri=launcher._embedded["MONGODB_URI"]))
    assert len(AdminStore(mongo).list()) == 1
    launcher._prepare(mongo)
    launcher._print_password()
    assert "created the first admin" not in capsys.readouterr().out


def test_a_given_database_that_is_away(attempt_here: Attempt, tmp_path: Path) -> None:
    nowhere = f"mongodb://127.0.0.1:{free_port()}"
    code, said = attempt_here({"DMSTATS_DATA_DIR": str(tmp_path), "MONGODB_URI": nowhere})
    assert code == 1
    assert said == (
        f"dmstats: cannot reach {nowhere.removeprefix('mongodb://')} (MONGODB_URI): "
        "connection refused\n"
    )


def test_a_given_redis_that_is_away(tmp_path: Path) -> None:
    """It starts and counts; one plain warning by the start, one line a worker in the log."""
    away = f"redis://:hidden@127.0.0.1:{free_port()}/0"
    started = Started(tmp_path, REDIS_URL=away)
    started.start()
    try:
        started.wait_ready()
        time.sleep(5)
    finally:
        started.end()
    warnings = [line for line in started.output.splitlines() if "warning" in line]
    assert warnings[0].startswith("dmstats: warning: cannot reach Redis (REDIS_URL): connection")
    assert [json.loads(line)["event"] for line in warnings[1:]] == ["redis_unavailable"]
    assert '"setting": "REDIS_URL"' in warnings[1]
    assert "hidden" not in started.output


def test_interrupt_while_starting(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.start()
    wait_until((tmp_path / "var" / "log" / "redis.log").exists)
    assert started.end(signal.SIGINT) < STOP_SECONDS
    assert started.process
    assert started.process.returncode == 0
    assert not started.left()
