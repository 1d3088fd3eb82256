"""Refreshing goes on by itself: over a dead Redis, dead workers, and with a side-car."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import redis

from tests.servers import Redis, wait_until
from tests.webserver import ROOT, Database, WebServer, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(20)]

INTERVAL = 2
LEASE_SECONDS = 45
"""How long a lease lasts that its holder did not release."""
FLASK = str(Path(sys.executable).with_name("flask"))


@pytest.fixture
def database(mongodb_uri: str) -> Database:
    return SimpleNamespace(uri=mongodb_uri)


class Admin:
    """Polls all the while, and remembers whatever no admin should see."""

    def __init__(self, web: WebServer) -> None:
        self._web = web
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.complaints: list[str] = []
        self.shown: dict[str, Any] = {}

    def term(self) -> int:
        return int(str(self.shown.get("version", "0-0")).partition("-")[0])

    def _poll(self) -> None:
        newest = (0, 0)
        while not self._over.wait(0.2):
            told = self._web.stats(self.shown.get("version", ""))
            if told is None:
                continue
            term, _, sequence = told["version"].partition("-")
            version = int(term), int(sequence)
            if version < newest:
                self.complaints.append(f"{version} after {newest}")
            if told["ageSeconds"] > 1.5 * INTERVAL and not told["stale"]:
                self.complaints.append(f"{told['ageSeconds']} s old and shown as live")
            newest = version
            self.shown = told

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def expire_soon(server: Redis) -> None:
    """The lease has been kept for most of its time."""
    with redis.Redis.from_url(server.url) as client:
        (lease,) = client.scan_iter("*:dmstats:lease")
        assert 0 < client.ttl(lease) <= LEASE_SECONDS
        client.expire(lease, 2)


def test_it_works(tmp_path: Path, database: Database, redis_server: Redis) -> None:
    """Redis dies and comes back empty, then every worker dies at once, the leader among them."""
    settings = {"STATS_REFRESH_INTERVAL": str(INTERVAL)}
    web = WebServer(tmp_path / "web", database, redis_server, workers=2, settings=settings)
    with serving(web), Admin(web) as admin:
        wait_until(lambda: admin.term() > 0)

        first = admin.term()
        redis_server.kill()
        assert web.post("without Redis").status == 200, "no webhook needs Redis"
        wait_until(lambda: admin.shown["totalDMsSent"] == 1)
        redis_server.start()
        wait_until(lambda: admin.term() > first)

        second = admin.term()
        for worker in web.workers():
            worker.kill()
        expire_soon(redis_server)
        wait_until(lambda: web.post("after all died").status == 200)
        wait_until(lambda: admin.term() > second)
        wait_until(lambda: admin.shown["totalDMsSent"] == 2)
        wait_until(lambda: not admin.shown["stale"])
        assert admin.complaints == []


@contextmanager
def side_car(web: WebServer) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [FLASK, "run-refresher"],
        cwd=ROOT, env=web.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_with_a_side_car_no_worker_refreshes(
    tmp_path: Path, database: Database, redis_server: Redis
) -> None:
    settings = {"STATS_REFRESHER": "off", "STATS_REFRESH_INTERVAL": "1"}
    web = WebServer(tmp_path / "web", database, redis_server, settings=settings)
    with serving(web), redis.Redis.from_url(redis_server.url) as client:
        assert web.stats(), "where there is nothing at all to show, it is computed once"
        time.sleep(3 * int(settings["STATS_REFRESH_INTERVAL"]))
        told = web.stats()
        assert told
        assert (told["version"], told["stale"]) == ("0-1", True)
        assert list(client.scan_iter("*:dmstats:lease")) == []

        def refreshed(after: int) -> bool:
            found = web.mongo.db["stats_cache"].find_one({"_id": "snapshot"}) or {}
            return bool(found.get("term", 0) > after)

        for term in (0, 1):
            with side_car(web) as process:
                wait_until(functools.partial(refreshed, term))
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            kept = list(client.scan_iter("*:dmstats:lease"))
            assert kept == [], "given back, so that the next one leads at once"
        assert web.log.count('"refresh"') == 1
