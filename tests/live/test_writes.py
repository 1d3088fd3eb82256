"""The write path's failure table, on real processes: what breaks, and what must hold then."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from pymongo import MongoClient

from dmstats.snapshot.lease import LEASE_KEY
from tests.servers import Redis, Secantus, running, wait_until
from tests.webserver import Answer, WebServer, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(40)]

TOLD_SECONDS = 5.0
"""Meta gives up after this; the service does after 2 s, but the machine may be busy."""
STOPPED_SECONDS = 20.0
"""Some six where nothing else runs; without a rescue it were sixty."""
APPLICATION = "dmstats"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(Redis(tmp_path_factory.mktemp("redis"))) as server:
        assert isinstance(server, Redis)
        yield server


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secantus]:
    with running(Secantus(tmp_path_factory.mktemp("db"), test_commands=True)) as server:
        assert isinstance(server, Secantus)
        yield server


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, redis_server: Redis
) -> Iterator[WebServer]:
    with serving(WebServer(tmp_path_factory.mktemp("web"), database, redis_server)) as web:
        yield web


@pytest.fixture
def web(shared: WebServer) -> WebServer:
    if shared.ended:  # by a test before
        shared.start()
    shared.begin_anew()
    return shared


@pytest.fixture(scope="module")
def shared_pair(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, redis_server: Redis
) -> Iterator[WebServer]:
    folder = tmp_path_factory.mktemp("pair")
    with serving(WebServer(folder, database, redis_server, workers=2)) as web:
        yield web


@pytest.fixture
def pair(shared_pair: WebServer) -> WebServer:
    shared_pair.begin_anew()
    return shared_pair


@contextmanager
def failing(database: Secantus, mode: Any = "alwaysOn", **data: Any) -> Iterator[None]:
    """The server fails the workers' commands as ``data`` says (``configureFailPoint``)."""
    client: MongoClient[dict[str, Any]] = MongoClient(database.uri, appname="tests")
    with client:
        data = {"appName": APPLICATION, **data}
        client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)
        try:
            yield
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")


def until_counted(web: WebServer, *mids: str) -> Answer:
    """Send the same again until it is acknowledged."""
    answers: list[Answer] = []

    def acknowledged() -> bool:
        answers.append(web.post(*mids))
        return answers[-1].status == 200

    wait_until(acknowledged)
    return answers[-1]


def assert_refused(answer: Answer) -> None:
    assert answer.status == 503, answer
    assert answer.seconds < TOLD_SECONDS, answer


def test_it_works(web: WebServer) -> None:
    answer = web.post("1", "2", "2")
    assert (answer.status, answer.body["sent"], answer.body["duplicates"]) == (200, 2, 1)
    assert web.counted() == (2, 2, 2)


def test_the_database_is_killed_and_comes_back(web: WebServer, database: Secantus) -> None:
    assert web.post("1").status == 200
    database.kill()
    for _ in range(2):
        assert_refused(web.post("2"))
    database.start()
    until_counted(web, "2")
    assert web.counted() == (2, 2, 2)


def test_the_database_hangs_and_resumes(web: WebServer, database: Secantus) -> None:
    assert web.post("1").status == 200
    assert database.process
    database.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:
            for answer in pool.map(lambda n: web.post(f"hung{n}"), range(4)):
                assert_refused(answer)
    finally:
        database.process.send_signal(signal.SIGCONT)
    until_counted(web, *(f"hung{n}" for n in range(4)))
    assert web.counted() == (5, 5, 5)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("bulkWrite", 189),  # PrimarySteppedDown
        ("bulkWrite", 10107),  # NotWritablePrimary
        ("commitTransaction", 11602),  # InterruptedDueToReplStateChange
        ("commitTransaction", 91),  # ShutdownInProgress
        ("update", 14031),  # OutOfDiskSpace
        ("bulkWrite", 13),  # Unauthorized
        ("update", 20),  # IllegalOperation: read-only
        ("find", 6),  # HostUnreachable
        ("find", 13436),  # NotPrimaryOrSecondary
    ],
)
def test_a_database_that_refuses_acknowledges_nothing(
    web: WebServer, database: Secantus, command: str, code: int
) -> None:
    with failing(database, failCommands=[command], errorCode=code):
        assert_refused(web.post("1"))
        assert web.counted() == (0, 0, 0)
    until_counted(web, "1")
    assert web.counted() == (1, 1, 1)


@pytest.mark.parametrize("code", [189, 10107, 11602, 91, 112, 251])
def test_one_refusal_is_not_even_noticed(web: WebServer, database: Secantus, code: int) -> None:
    until_counted(web, "first")  # a first commit, which makes collections, has little time to spare
    data = {"failCommands": ["update", "bulkWrite", "commitTransaction"], "errorCode": code}
    with failing(database, {"times": 1}, **data):
        assert web.post("1").status == 200
    assert web.counted() == (2, 2, 2)


@pytest.mark.parametrize(
    "data",
    [
        {"closeConnection": True},
        {"writeConcernError": {"code": 91, "errmsg": "shutting down"}},
        {"errorCode": 50, "errorLabels": ["UnknownTransactionCommitResult"]},
    ],
)
def test_an_unknown_commit_is_settled(
    web: WebServer, database: Secantus, data: Mapping[str, Any]
) -> None:
    """The commit may have happened: it is asked for again, and a retry finds what became of it."""
    for times in (1, 3, 8):
        with failing(database, {"times": times}, failCommands=["commitTransaction"], **data):
            answer = web.post(f"{times}")
            assert answer.status in (200, 503)
            assert answer.seconds < TOLD_SECONDS
        until_counted(web, f"{times}")
    assert web.counted() == (3, 3, 3)


def test_a_slow_commit_is_not_acknowledged_before_it_is_one(
    web: WebServer, database: Secantus
) -> None:
    slow = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 3000}
    with failing(database, {"times": 1}, **slow):
        assert_refused(web.post("1"))
    until_counted(web, "1")
    assert web.counted() == (1, 1, 1)


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
        with failing(database, {"times": 1}, blockConnection=True, **slow):
            post = pool.submit(web.post, sent[-1])
            time.sleep(0.25)
            if not post.done():
                return holder(web), sent
    raise AssertionError("none was held")


def end_lease(web: WebServer, redis_server: Redis) -> None:
    """The leader, which works off the backlog, may be dead: its lease would last for 45 s."""
    with redis.Redis.from_url(redis_server.url) as client:
        for lease in client.scan_iter(f"{web.name}-*:{LEASE_KEY}"):
            client.delete(lease)


@pytest.mark.parametrize("command", ["update", "bulkWrite", "commitTransaction"])
def test_a_worker_killed_inside_its_transaction_stops_no_other_worker(
    pair: WebServer, database: Secantus, redis_server: Redis, command: str
) -> None:
    """Also where the server works on what the dead worker had sent only after its death."""
    assert pair.post("0").status == 200
    with ThreadPoolExecutor() as pool:
        victim, sent = held(pair, database, pool, failCommands=[command], blockTimeMS=700)
        victim.kill()
        end_lease(pair, redis_server)
        started = time.monotonic()
        until_counted(pair, "2")
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
        until_counted(pair, "2")
        assert time.monotonic() - started < STOPPED_SECONDS
        victim.send_signal(signal.SIGCONT)
    assert_all_counted(pair, sent)


def assert_all_counted(pair: WebServer, sent: list[str]) -> None:
    until_counted(pair, *sent)
    count = 2 + len(sent)
    # The account's part may wait in the backlog, while the stopped worker holds its document.
    wait_until(lambda: pair.counted() == (count, count, count))
    pair.wait_complete()  # a worker that is still booting does not hear SIGTERM


def load(web: WebServer, count: int, then: Callable[[], None]) -> list[Answer]:
    """``count`` POSTs at once, and ``then`` while they are under way."""
    with ThreadPoolExecutor(count) as pool:
        answers = [pool.submit(web.post, f"m{n}") for n in range(count)]
        time.sleep(0.15)
        then()
        return [answer.result() for answer in answers]


def test_recycled_workers_lose_nothing(
    tmp_path: Path, database: Secantus, redis_server: Redis
) -> None:
    options = ("--max-requests", "60", "--max-requests-jitter", "20")
    web = WebServer(tmp_path, database, redis_server, workers=2, options=options)
    with serving(web), ThreadPoolExecutor(8) as pool:
        before = {worker.pid for worker in web.workers()}
        sent, deadline = 0, time.monotonic() + 30
        # A worker looks once a second whether it has had enough: all this may take less.
        while sent < 200 or before & {worker.pid for worker in web.workers()}:
            assert time.monotonic() < deadline
            mids = [f"m{n}" for n in range(sent, sent + 50)]
            for answer in pool.map(lambda mid: until_counted(web, mid), mids):
                assert answer.status == 200
            sent += len(mids)
        assert web.counted() == (sent, sent, sent)


def test_more_than_can_wait_is_refused_at_once(web: WebServer, database: Secantus) -> None:
    slow = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 1200}
    with ThreadPoolExecutor(52) as pool:
        with failing(database, **slow):
            first = pool.submit(web.post, "first")
            time.sleep(0.2)
            # More than 500 of a POST do not wait at once: many POSTs fill the queue of 20,000.
            mids = [[f"{post}-{n}" for n in range(500)] for post in range(50)]
            many = [pool.submit(web.post, *each) for each in mids]
            wait_until(lambda: any(refused_as_too_many(each) for each in many if each.done()))
        assert first.result().status == 200
        answers = [answer.result() for answer in many]
    assert all(answer.status in (200, 503) for answer in answers)
    wait_until(lambda: web.post("last").status == 200)
    rows, accounts, total = web.counted()
    assert rows == accounts == total


def refused_as_too_many(answer: Future[Answer]) -> bool:
    status, body = answer.result().status, answer.result().body
    return status == 503 and "Too many" in body["detail"]


REFUSES_BAD = {"$or": [{"account": {"$ne": "bad"}}, {"rejected": True}]}


def test_a_poison_event_fails_alone(web: WebServer) -> None:
    before = rejected(web)
    assert web.post("first").status == 200
    partition = f"dmstats_ledger_{time.strftime('%Y%m%d', time.gmtime())}"
    web.mongo.db.command("collMod", partition, validator=REFUSES_BAD)
    try:
        with ThreadPoolExecutor() as pool:
            bad = pool.submit(web.post, "poison", account="bad")
            good = [pool.submit(web.post, f"good{n}") for n in range(10)]
            assert (bad.result().status, bad.result().body["rejected"]) == (200, 1)
            assert all(answer.result().body["sent"] == 1 for answer in good)
    finally:
        web.mongo.db.command("collMod", partition, validator={})
    assert web.post("poison", account="bad").body["duplicates"] == 1
    assert web.counted() == (11, 11, 11)
    assert rejected(web) - before == 1


def rejected(web: WebServer) -> int:
    total = web.mongo.db["stats_cache"].find_one({"_id": "global"}) or {}
    return int(total.get("rejected", 0))


def test_an_account_with_another_kind_of_month_is_counted(web: WebServer) -> None:
    web.mongo.db["instagram_accounts"].insert_one({"instagramId": web.account, "currentMonth": 11})
    assert web.post("1").status == 200
    found = web.mongo.db["instagram_accounts"].find_one({"instagramId": web.account})
    assert found
    assert found["monthlyDmUsed"] == 1


def test_sigterm_drains_the_queue(web: WebServer, database: Secantus) -> None:
    slow = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 600}
    with failing(database, {"times": 2}, **slow):
        answers = load(web, 20, web.terminate)
    assert web.wait(15) == 0
    assert [answer.status for answer in answers] == [200] * 20
    assert web.counted() == (20, 20, 20)


class TestStandalone:
    """A server without transactions: the weaker order, with a loud warning."""

    @pytest.fixture
    def web(self, tmp_path: Path, redis_server: Redis) -> Iterator[WebServer]:
        server = Secantus(tmp_path / "db", standalone=True)
        with running(server), serving(WebServer(tmp_path, server, redis_server)) as web:
            yield web

    def test_it_works_with_a_warning(self, web: WebServer) -> None:
        assert web.post("1", "2").body["sent"] == 2
        assert web.post("2", "3").body == {
            "sent": 1, "received": 0, "other": 0, "duplicates": 1, "ignored": 0, "rejected": 0
        }  # fmt: skip
        assert web.counted() == (3, 3, 3)
        assert "has no transactions" in web.log
        assert web.log.count("has no transactions") == 1
