"""The write path's failure table for workers that are killed, stopped or replaced while another
goes on, and for a server without transactions."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from dmstats.db.client import APP_NAME
from dmstats.snapshot.lease import LEASE_KEY
from tests.servers import Redis, Secantus, running, wait_until
from tests.webserver import WebServer, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(30)]

STOPPED_SECONDS = 20.0
"""Some six where nothing else runs; without a rescue it were sixty."""


@pytest.fixture(scope="module")
def shared_pair(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, shared_redis: Redis
) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("pair")
    with serving(WebServer(folder, database, shared_redis, workers=2)) as web:
        yield web


@pytest.fixture
def pair(shared_pair: WebServer) -> WebServer:
    shared_pair.begin_anew()
    return shared_pair


def holder(web: WebServer) -> psutil.Process:
    """The worker that has a connection of a client."""
    for worker in web.workers():
        for connection in worker.net_connections():
            if connection.laddr.port == web.port and connection.status == "ESTABLISHED":
                return worker
    raise AssertionError("no worker has one")


def held(
    web: WebServer, database: Secantus, pool: ThreadPoolExecutor, **slow: Any
) -> tuple[psutil.Process, list[str]]:
    """A worker that waits for the server inside its transaction, and the mids sent: several where
    a worker's job met the slow command instead of the first."""
    sent: list[str] = []
    while len(sent) < 5:
        sent.append(f"held{len(sent)}")
        with database.failing({"times": 1}, appName=APP_NAME, blockConnection=True, **slow):
            post = pool.submit(web.post, sent[-1])
            time.sleep(0.25)
            if not post.done():
                return holder(web), sent
    raise AssertionError("none was held")


def end_lease(web: WebServer, shared_redis: Redis) -> None:
    """The leader, which works off the backlog, may be dead: its lease would last for 45 s."""
    with redis.Redis.from_url(shared_redis.url) as client:
        for lease in client.scan_iter(f"{web.name}-*:{LEASE_KEY}"):
            client.delete(lease)


@pytest.mark.parametrize("command", ["update", "bulkWrite", "commitTransaction"])
def test_a_worker_killed_inside_its_transaction_stops_no_other_worker(
    pair: WebServer, database: Secantus, shared_redis: Redis, command: str
) -> None:
    """Also where the server works on what the dead worker had sent only after its death."""
    assert pair.post("0").status == 200
    with ThreadPoolExecutor() as pool:
        victim, sent = held(pair, database, pool, failCommands=[command], blockTimeMS=700)
        victim.kill()
        end_lease(pair, shared_redis)
        started = time.monotonic()
        pair.post_until_counted("2")
        assert time.monotonic() - started < STOPPED_SECONDS
    assert_all_counted(pair, sent)


def test_a_stopped_worker_blocks_the_others_for_seconds_at_most(
    pair: WebServer, database: Secantus
) -> None:
    assert pair.post("0").status == 200
    # The update of the account has left locks already.
    slow = {"failCommands": ["bulkWrite"], "blockTimeMS": 1000}
    with ThreadPoolExecutor() as pool:
        victim, sent = held(pair, database, pool, **slow)
        victim.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        pair.post_until_counted("2")
        assert time.monotonic() - started < STOPPED_SECONDS
        victim.send_signal(signal.SIGCONT)
    assert_all_counted(pair, sent)


def assert_all_counted(pair: WebServer, sent: list[str]) -> None:
    pair.post_until_counted(*sent)
    count = 2 + len(sent)
    # The account's part may wait in the backlog, while the stopped worker holds its document.
    wait_until(lambda: pair.counted() == (count, count, count))
    pair.wait_complete()  # a worker that is still booting does not hear SIGTERM


def test_recycled_workers_lose_nothing(
    tmp_path: Path, database: Secantus, shared_redis: Redis
) -> None:
    options = ("--max-requests", "60", "--max-requests-jitter", "20")
    web = WebServer(tmp_path, database, shared_redis, workers=2, options=options)
    with serving(web), ThreadPoolExecutor(8) as pool:
        before = {worker.pid for worker in web.workers()}
        sent, deadline = 0, time.monotonic() + 30
        # A worker looks once a second whether it has had enough: all this may take less.
        while sent < 200 or before & {worker.pid for worker in web.workers()}:
            assert time.monotonic() < deadline
            mids = [f"m{n}" for n in range(sent, sent + 50)]
            for answer in pool.map(web.post_until_counted, mids):
                assert answer.status == 200
            sent += len(mids)
        assert web.counted() == (sent, sent, sent)


class TestStandalone:
    """A server without transactions: the weaker order, with a loud warning."""

    @pytest.fixture
    def web(self, tmp_path: Path, shared_redis: Redis) -> Iterator[WebServer]:
        server = Secantus(tmp_path / "db", standalone=True)
        with running(server), serving(WebServer(tmp_path, server, shared_redis)) as web:
            yield web

    def test_it_works_with_a_warning(self, web: WebServer) -> None:
        assert web.post("1", "2").body["sent"] == 2
        assert web.post("2", "3").body == {
            "sent": 1, "received": 0, "other": 0, "duplicates": 1, "ignored": 0, "rejected": 0
        }  # fmt: skip
        assert web.counted() == (3, 3, 3)
        assert "has no transactions" in web.log
        assert web.log.count("has no transactions") == 1
