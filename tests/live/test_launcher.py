"""`python -m dmstats` as an operator meets it: real processes, real signals, one clear line."""

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

import psutil
import pytest
import redis

import migrations
from dmstats.__main__ import run
from dmstats.core.clock import SystemClock
from dmstats.core.errors import DmstatsError, StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.client import Mongo, connect, server_process, translated
from dmstats.embedded import servers
from dmstats.embedded.attach import attach
from dmstats.embedded.launcher import Launcher
from dmstats.embedded.secrets import GENERATED
from tests.launched import START_SECONDS, STOP_SECONDS, Started, attempt, runs
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow(50)]

SETTLE_SECONDS = 6


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    started = Started(tmp_path_factory.mktemp("launcher"))
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()


Attempt = Callable[[Mapping[str, str]], tuple[int, str]]


@pytest.fixture
def attempt_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Attempt:
    """A start that is expected to fail, in this process: its exit status and output."""

    def attempt_here(environ: Mapping[str, str]) -> tuple[int, str]:
        monkeypatch.setattr(os, "environ", dict(environ))
        status = run(threading.Event())
        return status, "".join(capfd.readouterr())

    return attempt_here


def test_it_works(service: Started) -> None:
    assert service.answers()
    *_, password, address = [
        line for line in service.output.splitlines() if line.startswith("dmstats: ")
    ]
    assert "created the first admin, admin@localhost, with the password" in password
    assert address.startswith(f"dmstats: running at http://127.0.0.1:{service.environ['PORT']}")


def test_what_to_try_is_for_this_folder(service: Started) -> None:
    (line,) = [line for line in service.output.splitlines() if "try it: " in line]
    folder = service.environ["DMSTATS_DATA_DIR"]
    assert f"try it: DMSTATS_DATA_DIR={folder} " in line
    assert line.endswith(" simulate --rate 20 --seconds 60")


def test_note_and_secrets_are_private(service: Started) -> None:
    data = Path(service.environ["DMSTATS_DATA_DIR"])
    note = data / "service.json"
    content = json.loads(note.read_text())
    assert service.process
    assert content["pid"] == service.process.pid
    assert content["baseUrl"] == f"http://127.0.0.1:{service.environ['PORT']}"
    assert (data / "secrets").stat().st_mode & 0o777 == 0o700
    for file in [note, *(data / "secrets" / name for name in GENERATED)]:
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_no_secret_shows_in_a_process_list(service: Started) -> None:
    assert service.process
    folder = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    values = [file.read_text().strip() for file in folder.iterdir()]
    assert len(values) == len(GENERATED)
    for process in psutil.Process(service.process.pid).children(recursive=True):
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        assert not [value for value in values if value in shown]


def test_databases_know_no_settings(service: Started) -> None:
    assert not [name for name in service.child("secantus").environ() if name.startswith("META_")]
    assert "DMSTATS_DATA_DIR" not in service.child("redis-server").environ()


def test_a_command_attaches_without_settings(service: Started) -> None:
    found = attach({"DMSTATS_DATA_DIR": service.environ["DMSTATS_DATA_DIR"]})
    settings = Settings.from_env(found)
    assert settings.meta_app_secrets
    assert settings.mongodb_uri
    mongo = connect(settings)
    with translated():
        assert mongo.client.admin.command("ping")["ok"] == 1
    mongo.close()


def server_pid(settings: Settings, database: str) -> int:
    """The process that answers at the database's address; raises while none does."""
    if database == "redis-server":
        assert settings.redis_url
        with redis.Redis.from_url(settings.redis_url, socket_timeout=1) as client:
            return int(client.info("server")["process_id"])
    assert settings.mongodb_uri
    return server_process(settings.mongodb_uri, seconds=2)


@pytest.mark.parametrize("database", ["redis-server", "secantus"])
def test_killed_database_comes_back_at_its_address(service: Started, database: str) -> None:
    found = Settings.from_env(attach(service.environ))
    killed = service.child(database)
    killed.kill()

    def new_process() -> bool:
        try:
            return server_pid(found, database) != killed.pid
        except (redis.RedisError, DmstatsError):
            return False

    wait_until(new_process)
    assert "(killed by SIGKILL); restarting it in" in service.output
    assert service.answers()


def test_killed_web_server_comes_back(service: Started) -> None:
    killed = service.child("gunicorn")
    workers = killed.children()
    killed.kill()
    wait_until(lambda: not [worker for worker in workers if runs(worker)])
    wait_until(service.answers)
    assert service.child("gunicorn").pid != killed.pid


def test_second_start_on_the_same_folder(service: Started) -> None:
    code, said = attempt({**service.environ, "PORT": str(free_port())})
    assert code == 2
    assert said.count("\n") == 1
    assert "in use by another dmstats" in said
    assert "DMSTATS_DATA_DIR" in said
    assert service.answers()


def test_taken_port(service: Started, attempt_here: Attempt, tmp_path: Path) -> None:
    code, said = attempt_here({**service.environ, "DMSTATS_DATA_DIR": str(tmp_path / "other")})
    assert code == 2
    assert said == (
        f"dmstats: port {service.environ['PORT']} on 127.0.0.1 is taken by another program: "
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


def test_application_that_refuses_to_start(tmp_path: Path) -> None:
    """gunicorn's verdict ends everything, and its exit status is handed on."""
    started = Started(tmp_path, GUNICORN_CMD_ARGS="--worker-class nonsense")
    started.start()
    assert started.process
    try:
        code = started.process.wait(START_SECONDS)
    finally:
        started.process.kill()
    assert code > 0
    assert f"the web server ended with exit status {code}" in started.output


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


def test_killed_launcher_leaves_nothing_and_the_next_start_works(service: Started) -> None:
    # SecantusDB 0.7.0b3 was once seen not to open again ("WiredTigerError: Invalid argument") after
    # it had been killed while it made collections, of which the first seconds are full.
    time.sleep(max(0.0, service.child("secantus").create_time() + SETTLE_SECONDS - time.time()))
    service.end(signal.SIGKILL)
    wait_until(lambda: not service.left(), seconds=STOP_SECONDS)

    service.start()
    service.wait_ready()
    assert "first admin" not in service.output
    seconds = service.end()
    assert service.process
    assert service.process.returncode == 0
    assert seconds < STOP_SECONDS
    assert not service.left()
    data = Path(service.environ["DMSTATS_DATA_DIR"])
    assert not (data / "service.json").exists()
    assert not (data / "metrics").exists()
