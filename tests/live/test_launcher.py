"""`python -m dmstats` as an operator meets it: real processes, real signals, one clear line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from dmstats.core.errors import DmstatsError
from dmstats.core.settings import Settings
from dmstats.db.client import connect, server_process, translated
from dmstats.embedded.attach import attach
from dmstats.embedded.secrets import GENERATED
from tests.launched import STOP_SECONDS, Started, attempt, runs
from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow(30)]


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


def test_killed_launcher_leaves_nothing_and_the_next_start_works(service: Started) -> None:
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
