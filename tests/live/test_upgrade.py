"""The database of the release that kept sessions in cookies alone, used by this one.

``tests/upgrade/before_sessions.json`` is what that release wrote: admins by its commands and pages,
one of them disabled and one with a changed password, their cookies, and a few counted DMs.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

import migrations
from dmstats.core.clock import ManualClock, to_ms
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.health import Health
from tests.auditing import auditing
from tests.servers import Redis, running
from tests.streamworker import Worker

pytestmark = pytest.mark.live

FOUND: dict[str, Any] = json_util.loads(
    (Path(__file__).parents[1] / "upgrade" / "before_sessions.json").read_text()
)
ENABLED = sorted(FOUND["passwords"].keys() - set(FOUND["disabled"]))
PAGE, FIGURES, SIGN_OUT = "GET /", "GET /api/admin/stats", "POST /api/admin/me/sign-out"


def restored(mongo: Mongo) -> None:
    for name, documents in FOUND["collections"].items():
        mongo.db[name].insert_many(documents)
    mongo.db["dmstats_admins"].create_index("email", unique=True)
    mongo.db["instagram_accounts"].create_index("instagramId", unique=True)


@pytest.fixture(scope="module")
def upgraded(
    mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Worker, Mongo]]:
    """A worker of this release on that database."""
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=f"upgrade_{uuid.uuid4().hex[:12]}")
    with contextlib.closing(connect(settings)) as mongo:
        restored(mongo)
        migrations.apply(mongo, settings)
        redis = Redis(tmp_path_factory.mktemp("redis"))
        with running(redis):
            folder = tmp_path_factory.mktemp("worker")
            worker = Worker(folder, mongo, redis.url, SECRET_KEY=FOUND["secretKey"])
            with running(worker):
                yield worker, mongo


def ask(
    worker: Worker, operation: str, cookie: str = "", body: object = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    method, _, path = operation.partition(" ")
    connection = http.client.HTTPConnection("localhost", worker.port, timeout=30)
    headers = {"Content-Type": "application/json", "Cookie": cookie}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def sign_in(worker: Worker, email: str, cookie: str = "") -> tuple[int, str]:
    body = {"email": email, "password": FOUND["passwords"][email]}
    status, _, headers = ask(worker, "POST /login", cookie, body)
    return status, (headers["Set-Cookie"] or "").partition(";")[0]


def test_migrations_take_that_database(mongo: Mongo) -> None:
    restored(mongo)
    before = {name: list(mongo.db[name].find()) for name in FOUND["collections"]}
    migrations.apply(mongo, Settings())
    assert Health(mongo).missing_indexes() == []
    assert Health(mongo).migrations() == set(migrations.names())
    after = {name: list(mongo.db[name].find()) for name in FOUND["collections"]}
    del before["dmstats_migrations"], after["dmstats_migrations"]
    assert after == before, "the release before goes on beside this one"


def test_its_counters_are_exact(mongo: Mongo) -> None:
    restored(mongo)
    last = max(row["arrived"] for row in FOUND["collections"]["dmstats_ledger_20261127"])
    with auditing(mongo, ManualClock(to_ms(last) + 60_000)) as store:
        assert store.found() == set()


@pytest.mark.parametrize("email", ENABLED)
def test_everybody_signs_in_and_is_admin(upgraded: tuple[Worker, Mongo], email: str) -> None:
    worker, _ = upgraded
    status, cookie = sign_in(worker, email, FOUND["cookies"].get(email, ""))
    assert status == 200
    status, body, _ = ask(worker, "GET /api/admin/admins", cookie)
    assert status == 200
    everybody = json.loads(body)["admins"]
    assert {each["email"]: each["role"] for each in everybody} == dict.fromkeys(
        FOUND["passwords"], "admin"
    )
    assert [each["email"] for each in everybody if each["disabled"]] == FOUND["disabled"]


@pytest.mark.parametrize("email", FOUND["disabled"])
def test_who_was_disabled_stays_so(upgraded: tuple[Worker, Mongo], email: str) -> None:
    worker, _ = upgraded
    assert sign_in(worker, email, FOUND["cookies"][email])[0] == 401


@pytest.mark.parametrize("email", sorted(FOUND["cookies"]))
def test_its_cookies_lead_to_the_sign_in(upgraded: tuple[Worker, Mongo], email: str) -> None:
    worker, mongo = upgraded
    cookie, before = FOUND["cookies"][email], mongo.db["dmstats_sessions"].count_documents({})
    status, _, headers = ask(worker, PAGE, cookie)
    assert (status, headers["Location"]) == (302, "/login")
    assert ask(worker, "GET /login", cookie)[0] == 200
    assert ask(worker, FIGURES, cookie)[0] == ask(worker, SIGN_OUT, cookie, {})[0] == 401
    assert ask(worker, "GET /api/admin/stats/stream", cookie)[0] == 401
    assert ask(worker, "POST /logout", cookie, {})[0] == 204
    assert mongo.db["dmstats_sessions"].count_documents({}) == before
