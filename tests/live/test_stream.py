"""The event stream as a dashboard meets it: gunicorn, a real Redis, a real database."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import redis

from dmstats.db.client import Mongo
from tests.keyspace import key_of
from tests.servers import Redis, Server, running, wait_until
from tests.sse import PATH, Stream

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "token-of-the-test"
CRON = "cron-secret-of-the-test"
HEARTBEAT = 0.5


class Worker(Server):
    """One gunicorn worker with the whole application; nothing refreshes but the test."""

    def __init__(self, folder: Path, mongo: Mongo, redis_url: str, **settings: str) -> None:
        super().__init__(folder)
        host, port = mongo.client.address or ("", 0)
        self.environ = {
            **os.environ,
            "MONGODB_URI": f"mongodb://{host}:{port}/?retryWrites=false",
            "MONGODB_DB": mongo.db.name,
            "REDIS_URL": redis_url,
            "DMSTATS_DATA_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            "META_APP_SECRET": "app-secret-of-the-test",
            "META_VERIFY_TOKEN": "verify-token-of-the-test",
            "SECRET_KEY": "secret-key-of-the-test",
            "ADMIN_API_TOKEN": TOKEN,
            "CRON_SECRET": CRON,
            "STATS_REFRESHER": "off",
            "HEARTBEAT_OF_THE_TEST": str(HEARTBEAT),
            **settings,
        }

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tests.streamapp:app"],
                cwd=ROOT, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_until(self.ready)

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/readyz")[0] == 200
        return False

    def get(self, path: str, secret: str = TOKEN) -> tuple[int, Any, dict[str, str]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {secret}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    def refresh(self) -> str:
        """Refresh as cron does; the version."""
        status, body, _ = self.get("/api/cron/refresh-admin-stats", CRON)
        assert status == 200
        return str(json.loads(body)["version"])

    def stream(self, query: str = "", *, http: str = "1.1") -> Stream:
        return Stream(self.port, TOKEN, query=query, http=http)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis")
    with running(server):
        yield server


@pytest.fixture
def client(server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture(params=["pubsub", "stream"])
def worker(
    request: pytest.FixtureRequest, tmp_path: Path, mongo: Mongo, server: Redis
) -> Iterator[Worker]:
    worker = Worker(
        tmp_path / "worker", mongo, server.url, STATS_TRANSPORT=request.param, STATS_MAX_STREAMS="5"
    )
    with running(worker):
        yield worker


def allow_publish(client: redis.Redis) -> None:
    for key in client.scan_iter("*:dmstats:last-publish"):
        client.delete(key)


def test_it_works(worker: Worker, client: redis.Redis) -> None:
    version = worker.refresh()
    stream = worker.stream()
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert 2000 <= int(stream.next()["retry"]) <= 5000
    first = stream.next()
    assert (first["event"], first["id"]) == ("stats", version)
    data = json.loads(first["data"])
    assert data["version"] == version
    assert list(data) == list(json.loads(worker.get("/api/admin/stats")[1]))
    beat = stream.next_data("heartbeat")
    assert (beat["live"], beat["version"]) == (True, version)
    allow_publish(client)
    newer = worker.refresh()
    assert stream.next("stats")["id"] == newer != version
    stream.close()


def test_one_file_is_all_that_a_stream_costs(worker: Worker) -> None:
    worker.refresh()
    assert worker.process
    (process,) = psutil.Process(worker.process.pid).children()
    before = process.num_fds()
    streams = [worker.stream() for _ in range(4)]
    # Gunicorn names itself in each of its answers: it has let go of these.
    assert not any("server" in stream.headers for stream in streams)
    wait_until(lambda: process.num_fds() == before + 4, seconds=5)
    for stream in streams:
        stream.close()


def test_where_the_connection_cannot_be_had_the_server_goes_on(
    worker: Worker, client: redis.Redis
) -> None:
    version = worker.refresh()
    old, new = worker.stream(http="1.0"), worker.stream()
    assert "gunicorn" in old.headers["server"]
    for stream in (old, new):
        assert set(stream.next()) == {"retry"}
        assert stream.next("stats")["id"] == version
        assert stream.next("heartbeat")
    allow_publish(client)
    version = worker.refresh()
    assert old.next("stats") == new.next("stats")
    old.close()
    new.close()


def test_who_has_it_already_gets_nothing_again(worker: Worker) -> None:
    version = worker.refresh()
    stream = worker.stream(f"?last_event_id={version}")
    assert "retry" in stream.next()
    assert stream.next()["event"] == "heartbeat"
    stream.close()
    stream = worker.stream("?last_event_id=0-0&channel=somebody-elses")
    assert stream.next("stats")["id"] == version
    stream.close()


def test_over_the_cap_it_is_503_and_the_rest_is_served(worker: Worker) -> None:
    worker.refresh()
    streams = [worker.stream() for _ in range(5)]
    status, _, headers = worker.get(PATH)
    assert (status, headers["Content-Type"]) == (503, "application/problem+json")
    assert int(headers["Retry-After"]) > 0
    assert worker.get("/api/admin/stats")[0] == 200
    streams.pop().close()
    for stream in streams:
        stream.close()
    wait_until(
        lambda: worker.get("/readyz")[0] == 200 and opened(worker), seconds=4 * HEARTBEAT + 3
    )


def shown(worker: Worker) -> str:
    return str(json.loads(worker.get("/api/admin/stats")[1])["version"])


def opened(worker: Worker) -> bool:
    stream = worker.stream()
    stream.close()
    return stream.status == 200


def test_dead_clients_are_freed_with_nothing_published(worker: Worker) -> None:
    worker.refresh()
    for _ in range(5):
        worker.stream().close()
    started = time.monotonic()
    wait_until(lambda: opened(worker), seconds=10)
    assert time.monotonic() - started < 2 * HEARTBEAT + 1


def test_what_is_published_while_redis_restarts_arrives(
    worker: Worker, server: Redis, client: redis.Redis
) -> None:
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    server.kill()
    while stream.next_data("heartbeat")["live"]:
        pass
    unpublished = worker.refresh()
    wait_until(lambda: shown(worker) == unpublished, seconds=5)
    server.start()
    assert stream.next("stats")["id"] == unpublished
    while not stream.next_data("heartbeat")["live"]:
        pass
    allow_publish(client)
    version = worker.refresh()
    assert stream.next("stats")["id"] == version
    stream.close()


def test_a_cut_connection_catches_up(worker: Worker, client: redis.Redis) -> None:
    """The worker's subscription is cut off again and again while others publish."""
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    for _ in range(5):
        for kind in ("pubsub", "normal"):
            client.client_kill_filter(_type=kind, skipme=True)
        allow_publish(client)
        version = worker.refresh()
        assert stream.next("stats")["id"] == version
    stream.close()


def test_rubbish_on_the_channel_does_no_harm(worker: Worker, client: redis.Redis) -> None:
    worker.refresh()
    stream = worker.stream()
    stream.next("stats")
    channel = key_of(client, "admin:stats:updated")
    for rubbish in (b"rubbish", b"[]", msgspec.json.encode({"type": "stats", "data": {}})):
        client.publish(channel, rubbish)
        with contextlib.suppress(redis.ResponseError):
            client.xadd(channel, {"message": rubbish})
    allow_publish(client)
    version = worker.refresh()
    assert stream.next("stats")["id"] == version
    stream.close()


def test_sigterm_ends_every_stream_cleanly(worker: Worker) -> None:
    worker.refresh()
    streams = [worker.stream() for _ in range(4)]
    for stream in streams:
        stream.next("stats")
    assert worker.process
    started = time.monotonic()
    worker.process.terminate()
    for stream in streams:
        assert all(event["event"] == "heartbeat" for event in stream.rest())
        stream.close()
    assert time.monotonic() - started < 5
    assert worker.process.wait(15) == 0


def test_without_a_session_or_a_token_there_is_none(worker: Worker) -> None:
    assert worker.get(PATH, "wrong")[0] == 401
