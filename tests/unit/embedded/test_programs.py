"""What is run, and where: command lines, addresses, ports, waiting times."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.embedded import servers, webserver
from dmstats.embedded.supervisor import BACK_OFF_CAP_SECONDS, BACK_OFF_SECONDS, back_off


def test_it_works(tmp_path: Path) -> None:
    mongodb = servers.mongodb(tmp_path / "mongodb", tmp_path / "log", {}, 21000)
    cache = servers.redis_server(tmp_path / "redis", tmp_path / "log", {}, 21001)
    assert "--sync-on-commit" in mongodb.command
    assert Path(cache.command[0]).name == "redis-server"
    for program in (mongodb, cache):
        assert "127.0.0.1" in program.command
        assert program.always_restart


def test_missing_package_is_told_with_the_cure() -> None:
    with pytest.raises(ConfigError, match=r"REDIS_URL: not set.*dmstats\[embedded\]"):
        servers._require("no_such_package", "REDIS_URL")


def test_addresses_are_valid_settings() -> None:
    port = servers.free_port()
    uris = {"MONGODB_URI": servers.mongodb_uri(port), "REDIS_URL": servers.redis_url(port)}
    assert Settings.from_env(uris).mongodb_uri


def test_port_is_free_until_somebody_listens() -> None:
    port = servers.free_port()
    assert port in servers.PORTS
    with socket.create_server(("127.0.0.1", port)):
        assert not servers.is_free("127.0.0.1", port)
    assert servers.is_free("127.0.0.1", port)


def test_a_port_that_is_spoken_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "PORTS", range(21000, 21001))
    with pytest.raises(ConfigError, match="no free port"):
        servers.free_port(but=21000)


def test_address_of_another_machine() -> None:
    with pytest.raises(OSError, match="assign"):
        servers.is_free("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("::", "http://[::1]:8000"),
        ("dm.example", "http://dm.example:8000"),
    ],
)
def test_base_url(host: str, url: str) -> None:
    assert webserver.base_url(Settings(host=host)) == url


def test_web_server_is_told_its_place_by_the_environment() -> None:
    program = webserver.program(Settings(port=8123, web_concurrency=3), {"A": "b"})
    wanted = {"A": "b", "HOST": "127.0.0.1", "PORT": "8123", "WEB_CONCURRENCY": "3"}
    assert program.environ == wanted
    assert not program.always_restart


def test_shares_of_the_time_to_stop_fit_in_15_seconds() -> None:
    total = webserver.STOP_SECONDS + servers.REDIS_STOP_SECONDS + servers.MONGODB_STOP_SECONDS
    assert total <= 14


def test_back_off_doubles_up_to_its_cap() -> None:
    rng = random.Random(1)
    for failures in range(1, 100):
        full = min(BACK_OFF_CAP_SECONDS, BACK_OFF_SECONDS * 2 ** (failures - 1))
        assert full / 2 <= back_off(failures, rng) <= full
