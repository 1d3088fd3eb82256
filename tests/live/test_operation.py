"""What the host clears away, and what stands in front, does not end the service."""

from __future__ import annotations

import http.client
import json
import select
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from dmstats.core.signature import sign
from tests.keyspace import key_of
from tests.servers import Redis, Secantus, wait_until
from tests.webserver import SECRET, WebServer, body, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(30)]

NOW = int(time.time() * 1000)


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, shared_redis: Redis
) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("web")
    settings = {"DMSTATS_RUN_DIR": str(folder / "run"), "STATS_REFRESH_INTERVAL": "1"}
    # With gunicorn's own time-out it would end so soon, whatever holds it up.
    options = ["--graceful-timeout", "90"]
    server = WebServer(folder, database, shared_redis, options=options, settings=settings)
    with serving(server):
        yield server


@pytest.fixture
def web(shared: WebServer) -> WebServer:
    if shared.ended:  # by a test before
        shared.start()
    return shared


def ask(
    web: WebServer, method: str, path: str, raw: bytes | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    try:
        connection.request(method, path, raw, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_it_works(web: WebServer) -> None:
    assert web.post("op-1").body["sent"] == 1
    assert ask(web, "GET", "/metrics")[0] == 200


def test_long_headers_and_many(web: WebServer) -> None:
    assert ask(web, "GET", "/login", Cookie="x=" + "a" * 16_000)[0] == 200
    many = {f"X-A{n}": "1" for n in range(120)}
    assert ask(web, "GET", "/login", None, **many)[0] == 200
    assert ask(web, "GET", "/login?" + "a" * 8_000)[0] == 200
    raw = body("op-2")
    signed = {"X-Hub-Signature-256": sign(raw, SECRET), "X-Long": "a" * 9_000}
    assert ask(web, "POST", "/api/webhooks/instagram", raw, **signed)[0] == 200
    status, said = ask(web, "GET", "/login", Cookie="x=" + "a" * 20_000)
    assert (status, b"headers" in said) == (431, True)


def test_slashes_too_many(web: WebServer) -> None:
    raw = body("op-3")
    signed = {"X-Hub-Signature-256": sign(raw, SECRET)}
    for path in ("/api/webhooks/instagram/", "//api/webhooks/instagram"):
        assert ask(web, "POST", path, raw, **signed)[0] == 200


def test_unsigned_bodies_have_a_bound_together(web: WebServer) -> None:
    (worker,) = web.workers()
    before = worker.memory_info().rss
    size = 4 * 1024 * 1024
    head = (
        "POST /api/webhooks/instagram HTTP/1.1\r\nHost: x\r\n"
        f"X-Hub-Signature-256: sha256=00\r\nContent-Length: {size}\r\n\r\n"
    ).encode()
    connections = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(40)]
    try:
        for connection in connections:
            connection.sendall(head)
            connection.setblocking(False)
        highest, left = 0, dict.fromkeys(connections, size - 10)
        deadline = time.monotonic() + 8
        while left and time.monotonic() < deadline:
            _, writable, _ = select.select([], list(left), [], 0.02)
            for connection in writable:
                try:
                    left[connection] -= connection.send(b"x" * min(65_536, left[connection]))
                    if not left[connection]:
                        del left[connection]
                except BlockingIOError:
                    pass
                except OSError:
                    del left[connection]  # refused
            highest = max(highest, worker.memory_info().rss)
        wait_until(lambda: web.post("op-4").status == 200)
        # Without a bound it is some 230 MiB.
        assert highest - before < 120 * 1024 * 1024
    finally:
        for connection in connections:
            connection.close()


def test_a_thousand_repeated_events(web: WebServer) -> None:
    """The embedded database needs its time for them, and Meta sends so many at once."""
    raw = body(*(f"many-{n}" for n in range(1_000)))
    for expected in ("sent", "duplicates"):
        for _ in range(5):
            answer = web.send(raw)
            if answer.status == 200:
                break
        assert (answer.status, answer.seconds < 5) == (200, True)
        assert answer.body["sent"] + answer.body["duplicates"] == 1_000, expected


def test_more_events_than_any_queue_holds_are_counted_in_the_end(web: WebServer) -> None:
    account = "17841400000000077"
    items = [
        {"timestamp": NOW, "message": {"mid": f"huge-{n}", "is_echo": True}} for n in range(4_000)
    ]
    entry = {"id": account, "time": NOW, "messaging": items}
    raw = json.dumps({"object": "instagram", "entry": [entry]}).encode()
    for _ in range(20):
        answer = web.send(raw)
        assert answer.seconds < 5
        if answer.status == 200:
            break
    assert answer.status == 200
    found = web.mongo.db["instagram_accounts"].find_one({"instagramId": account}) or {}
    assert found["dmUsed"] == 4_000


def test_the_run_folder_may_be_cleared_away(web: WebServer) -> None:
    run = Path(web.environ["DMSTATS_RUN_DIR"])
    assert list(run.iterdir())
    shutil.rmtree(run)
    assert ask(web, "GET", "/metrics")[0] == 200
    (first,) = web.workers()
    first.kill()
    wait_until(lambda: [worker for worker in web.workers() if worker.pid != first.pid] != [])
    wait_until(lambda: web.post("op-5").status == 200)
    assert web.post("op-5").body["duplicates"] == 1
    shutil.rmtree(run, ignore_errors=True)
    assert web._process
    master = psutil.Process(web._process.pid)
    old = {worker.pid for worker in web.workers()}
    master.send_signal(signal.SIGHUP)
    wait_until(lambda: bool({worker.pid for worker in web.workers()} - old))
    wait_until(lambda: not {worker.pid for worker in web.workers()} & old, seconds=45)
    assert master.is_running()
    assert web.post("op-6").status == 200


@pytest.fixture(scope="module")
def other(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, shared_redis: Redis
) -> Iterator[WebServer]:
    """Another installation, which preloads, under another number of the same Redis."""

    class Other(Redis):
        url = shared_redis.url.replace("/0", "/1")

    folder = tmp_path_factory.mktemp("other")
    server = WebServer(
        folder, database, Other(folder), workers=2, options=["--preload"],
        settings={"STATS_REFRESH_INTERVAL": "1"},
    )  # fmt: skip
    with serving(server):
        yield server


def test_preloading_loads_nothing_before_the_fork(other: WebServer) -> None:
    for number in range(20):
        assert other.post(f"preloaded-{number}").body == {
            "sent": 1, "received": 0, "other": 0, "duplicates": 0, "ignored": 0, "rejected": 0,
        }  # fmt: skip
    assert "MonkeyPatchWarning" not in other.log


def test_two_installations_on_one_redis_show_their_own_figures(
    web: WebServer, other: WebServer
) -> None:
    """Also under another database number, which Pub/Sub ignores."""
    assert web.post("op-7").body["sent"] == other.post("other-1").body["sent"] == 1
    counted = web.counted()[2], other.counted()[2]
    assert counted[0] != counted[1]

    def shown() -> tuple[int, int]:
        one, two = ((each.stats() or {}).get("totalDMsSent", 0) for each in (web, other))
        return one, two

    wait_until(lambda: shown() == counted)
    for _ in range(20):
        assert shown() == counted
        time.sleep(0.1)
    with redis.Redis.from_url(other.environ["REDIS_URL"]) as client:
        assert key_of(client, "").startswith(other.name)


@pytest.mark.parametrize(
    "option", [["-k", "gthread"], ["-k", "sync"], ["--threads", "4", "-k", "sync"]]
)
def test_other_workers_are_refused(
    tmp_path: Path, database: Secantus, shared_redis: Redis, option: list[str]
) -> None:
    web = WebServer(tmp_path, database, shared_redis, options=option)
    with pytest.raises(AssertionError), serving(web):
        pass
    assert "must be gevent" in web.log


def test_an_idle_connection_does_not_hold_up_the_end(web: WebServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    for _ in range(2):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    time.sleep(6)
    connection.request("GET", "/healthz")  # kept for longer than five seconds
    assert connection.getresponse().read()
    started = time.monotonic()
    web.terminate()
    web.wait(100)
    assert time.monotonic() - started < 60
    connection.close()
