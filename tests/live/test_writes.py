"""The write path's failure table, on real processes: what breaks, and what must hold then.

``test_write_workers.py`` is its part for more than one worker.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from dmstats.db.client import APP_NAME
from tests.servers import Redis, Secantus, wait_until
from tests.webserver import Answer, WebServer, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(35)]

TOLD_SECONDS = 5.0
"""Meta gives up after this; the service does after 2 s, but the machine may be busy."""


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, database: Secantus, shared_redis: Redis
) -> Iterator[WebServer]:
    with serving(WebServer(tmp_path_factory.mktemp("web"), database, shared_redis)) as web:
        yield web


@pytest.fixture
def web(shared: WebServer) -> WebServer:
    if shared.ended:  # by a test before
        shared.start()
    shared.begin_anew()
    return shared


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
    web.post_until_counted("2")
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
    web.post_until_counted(*(f"hung{n}" for n in range(4)))
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
    with database.failing(appName=APP_NAME, failCommands=[command], errorCode=code):
        assert_refused(web.post("1"))
        assert web.counted() == (0, 0, 0)
    web.post_until_counted("1")
    assert web.counted() == (1, 1, 1)


@pytest.mark.parametrize("code", [189, 10107, 11602, 91, 112, 251])
def test_one_refusal_is_not_even_noticed(web: WebServer, database: Secantus, code: int) -> None:
    # A first commit, which makes collections, has little time to spare.
    web.post_until_counted("first")
    data = {"failCommands": ["update", "bulkWrite", "commitTransaction"], "errorCode": code}
    with database.failing({"times": 1}, appName=APP_NAME, **data):
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
        with database.failing(
            {"times": times}, appName=APP_NAME, failCommands=["commitTransaction"], **data
        ):
            answer = web.post(f"{times}")
            assert answer.status in (200, 503)
            assert answer.seconds < TOLD_SECONDS
        web.post_until_counted(f"{times}")
    assert web.counted() == (3, 3, 3)


def test_a_slow_commit_is_not_acknowledged_before_it_is_one(
    web: WebServer, database: Secantus
) -> None:
    slow = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 3000}
    with database.failing({"times": 1}, appName=APP_NAME, **slow):
        assert_refused(web.post("1"))
    web.post_until_counted("1")
    assert web.counted() == (1, 1, 1)


def load(web: WebServer, count: int, then: Callable[[], None]) -> list[Answer]:
    """``count`` POSTs at once, and ``then`` while they are under way."""
    with ThreadPoolExecutor(count) as pool:
        answers = [pool.submit(web.post, f"m{n}") for n in range(count)]
        time.sleep(0.15)
        then()
        return [answer.result() for answer in answers]


def test_more_than_can_wait_is_refused_at_once(web: WebServer, database: Secantus) -> None:
    slow = {"failCommands": ["commitTransaction"], "blockConnection": True, "blockTimeMS": 1200}
    with ThreadPoolExecutor(52) as pool:
        with database.failing(appName=APP_NAME, **slow):
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
    with database.failing({"times": 2}, appName=APP_NAME, **slow):
        answers = load(web, 20, web.terminate)
    assert web.wait(15) == 0
    assert [answer.status for answer in answers] == [200] * 20
    assert web.counted() == (20, 20, 20)
