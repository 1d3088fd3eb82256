"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import gc
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadFileScheduling

from dmstats.core.clock import ManualClock, to_ms
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from tests.servers import Redis, Secantus, running, worker_number

ROOT = Path(__file__).parents[1]
NOW = "2026-11-15T12:34:56+00:00"

# Thousands of tests stay in memory. Searching them for garbage as often as Python does by default
# takes a sixth of the time.
gc.set_threshold(50_000, 50, 50)

# A slow example is the machine's fault and fails no test. The examples are the same each time, so
# that a failure comes from a change.
hypothesis_settings.register_profile(
    "dmstats",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
hypothesis_settings.load_profile("dmstats")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first and the pure tests last, so that no long module is still
    running when the other workers of pytest-xdist are done: each module runs in one.
    """
    ranks: dict[Path, float] = {}
    for item in items:
        ranks[item.path] = min(ranks.get(item.path, 9), _rank(item))
    items.sort(key=lambda item: ranks[item.path])


def _rank(item: pytest.Item) -> float:
    if slow := item.get_closest_marker("slow"):
        return -float(slow.args[0])
    real = item.path.parent.name in ("live", "browser")
    return 1 if real else 2


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # the library has no types
    """Runs each module in one worker, and those that look at the same service in the same one: each
    worker would start a service of its own."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(super()._split_scope(nodeid))


@cache
def _scope(path: str) -> str:
    text = (ROOT / path).read_text()
    if "service: Started" in text and "def service(" not in text:
        return "the running service"
    return "the counted service" if "counted: Service" in text else path


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put temporary files where pytest deletes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(to_ms(datetime.fromisoformat(NOW)))


@contextmanager
def mongodb(folder: Path) -> Iterator[str]:
    """The address of the server that TEST_MONGODB_URI names, or of an embedded one in ``folder``,
    which no test may kill: it does not sync."""
    if given := os.environ.get("TEST_MONGODB_URI"):
        yield given
        return
    with running(Secantus(folder, synced=False)) as server:
        yield server.uri


@pytest.fixture(scope="session")
def mongodb_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that most live tests share: the embedded one, or what TEST_MONGODB_URI names."""
    with mongodb(tmp_path_factory.mktemp("secantus")) as uri:
        yield uri


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Redis that most live tests share: the embedded one, or what TEST_REDIS_URL names.

    There, each worker of pytest-xdist empties and uses the database with its own number.
    """
    if given := os.environ.get("TEST_REDIS_URL"):
        yield f"{given.rstrip('/')}/{worker_number()}"
        return
    server = Redis(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield server.url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis of the test's own, which it may kill."""
    server = Redis(tmp_path / "redis")
    with running(server):
        yield server


@pytest.fixture
def mongo(mongodb_uri: str) -> Iterator[Mongo]:
    """A database of the test's own on the real server. It stays there: dropping it is slow."""
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=f"test_{uuid.uuid4().hex[:12]}")
    with closing(connect(settings)) as connection:
        yield connection


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def fake_redis() -> fakeredis.FakeRedis:
    return fakeredis.FakeRedis()
