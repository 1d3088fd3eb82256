"""One running service that the tests which only look at it share."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator, Mapping
from subprocess import CompletedProcess
from typing import Protocol

import pytest

from dmstats import cli
from tests.launched import Started
from tests.servers import Redis, Secantus, free_port, running

TOKEN = "api-token-of-the-running-service"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """`python -m dmstats` with two workers, an API token and a canary."""
    port = str(free_port())
    started = Started(
        tmp_path_factory.mktemp("service"),
        PORT=port,
        WEB_CONCURRENCY="2",
        ADMIN_API_TOKEN=TOKEN,
        STATS_MIN_PUBLISH_INTERVAL="1",
        DMSTATS_CANARY_URL=f"http://127.0.0.1:{port}",
    )
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secantus]:
    """The module's own server, which its tests may kill, pause and make fail."""
    with running(Secantus(tmp_path_factory.mktemp("database"), test_commands=True)) as server:
        yield server


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """The module's own Redis."""
    with running(Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


class Dmstats(Protocol):
    def __call__(
        self, environ: Mapping[str, str], *arguments: str, stdin: str = ""
    ) -> CompletedProcess[str]: ...


@pytest.fixture
def dmstats(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Dmstats:
    """Runs `dmstats ARGUMENTS` in this process, where a process of its own is not what is tested:
    its start takes most of a second."""
    root = logging.getLogger()

    def run(environ: Mapping[str, str], *arguments: str, stdin: str = "") -> CompletedProcess[str]:
        handlers, level = root.handlers[:], root.level
        with monkeypatch.context() as patch:
            patch.setattr(os, "environ", dict(environ))
            patch.setattr("sys.stdin", io.StringIO(stdin))
            capfd.readouterr()
            try:
                code = cli.main(arguments)
            finally:
                root.handlers[:], root.level = handlers, level
        return CompletedProcess(arguments, code, *capfd.readouterr())

    return run
