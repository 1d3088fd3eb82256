"""Sessions across workers: what is ended anywhere is refused everywhere, and streams end."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.client import Mongo
from migrations import apply
from tests.servers import Redis, running
from tests.service.admin_site import cheap_passwords
from tests.sse import Stream
from tests.streamworker import ROOT, Worker

pytestmark = pytest.mark.live

ADA, GRACE, PASSWORD = "ada@example.com", "grace@example.com", "correct horse battery"
NEW = "new@example.com"
SECONDS = 2.0
"""Within so many seconds open streams have to end."""


@pytest.fixture
def site(mongo: Mongo, redis_server: Redis, tmp_path: Path) -> Iterator[Site]:
    worker = Worker(tmp_path / "worker", mongo, redis_server.url, WEB_CONCURRENCY="2")
    apply(mongo, Settings())
    admins = AdminStore(mongo, cheap_passwords())
    for email in (ADA, GRACE):
        admins.create(email, PASSWORD)
    with running(worker):
        yield Site(worker, mongo)


class Site:
    """Two workers and what browsers do with them; each request has a connection of its own."""

    def __init__(self, worker: Worker, mongo: Mongo) -> None:
        self.worker = worker
        self.mongo = mongo

    def ask(
        self, method: str, path: str, cookie: str = "", body: object = None, *, token: str = ""
    ) -> tuple[int, bytes, str]:
        connection = http.client.HTTPConnection("localhost", self.worker.port, timeout=20)
        who = {"Authorization": f"Bearer {token}"} if token else {"Cookie": cookie}
        headers = {"Content-Type": "application/json", **who}
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, headers)
            answer = connection.getresponse()
            new = (answer.getheader("Set-Cookie") or "").split(";")[0]
            return answer.status, answer.read(), new
        finally:
            connection.close()

    def sign_in(self, email: str = ADA, password: str = PASSWORD) -> str:
        status, _, cookie = self.ask("POST", "/login", body={"email": email, "password": password})
        assert status == 200
        return cookie

    def id_of(self, cookie: str) -> str:
        return str(json.loads(self.ask("GET", "/api/admin/admins", cookie)[1])["you"])

    def statuses(self, cookie: str = "", *, token: str = "") -> set[int]:
        """What both workers say: a dozen new connections meet each of them."""
        return {self.ask("GET", "/api/admin/stats", cookie, token=token)[0] for _ in range(12)}


class Watched:
    """Open streams of one session, and when each of them ended."""

    def __init__(self, site: Site, cookie: str, count: int = 4, *, token: str = "") -> None:
        self.streams = [Stream(site.worker.port, token, cookie=cookie) for _ in range(count)]
        assert {stream.status for stream in self.streams} == {200}
        self.ends: list[float] = []
        self._threads = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in self.streams
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Stream) -> None:
        stream.rest()
        self.ends.append(time.monotonic())
        stream.close()

    def all_end_by(self, moment: float) -> bool:
        for thread in self._threads:
            thread.join(max(0.0, moment + 1 - time.monotonic()))
        return len(self.ends) == len(self.streams) and max(self.ends) <= moment

    def close(self) -> None:
        for stream in self.streams:
            stream.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


def test_signing_out_ends_one_session_everywhere(site: Site) -> None:
    gone, kept = site.sign_in(), site.sign_in()
    ending, going_on = Watched(site, gone), Watched(site, kept)
    assert site.statuses(gone) == site.statuses(kept) == {200}
    assert site.ask("POST", "/logout", gone, {})[0] == 204
    signed_out = time.monotonic()
    assert site.statuses(gone) == {401}
    assert site.statuses(kept) == {200}
    assert ending.all_end_by(signed_out + SECONDS)
    assert going_on.ends == []
    going_on.close()


def test_a_new_password_ends_the_stolen_session_and_not_ones_own_new_one(site: Site) -> None:
    stolen = site.sign_in()
    other = site.sign_in(GRACE)
    ending, others = Watched(site, stolen), Watched(site, other)
    change = {"currentPassword": PASSWORD, "password": "another horse battery"}
    url = f"/api/admin/admins/{site.id_of(stolen)}/password"
    status, _, mine = site.ask("POST", url, stolen, change)
    changed = time.monotonic()
    assert (status, bool(mine)) == (200, True)
    going_on = Watched(site, mine)
    assert site.statuses(stolen) == {401}
    assert ending.all_end_by(changed + SECONDS)
    time.sleep(1.5)
    assert site.statuses(mine) == {200}
    assert going_on.ends == others.ends == []
    going_on.close()
    others.close()


@pytest.mark.parametrize(
    ("verb", "body"), [("disable", {}), ("sign-out", {}), ("role", {"role": "viewer"})]
)
def test_another_admin_is_shut_out(site: Site, verb: str, body: object) -> None:
    hers, mine = site.sign_in(GRACE), site.sign_in()
    ending = Watched(site, hers)
    url = f"/api/admin/admins/{site.id_of(hers)}/{verb}"
    assert site.ask("POST", url, mine, body)[0] == 200
    shut_out = time.monotonic()
    assert site.statuses(hers) == {401}
    assert site.statuses(mine) == {200}
    assert ending.all_end_by(shut_out + SECONDS)


def test_revoking_a_token_ends_it_everywhere(site: Site) -> None:
    mine = site.sign_in()
    wanted = {"name": "wall", "scopes": ["read-figures"], "days": 1}
    gone, kept = (
        json.loads(site.ask("POST", "/api/admin/tokens", mine, wanted)[1]) for _ in range(2)
    )
    ending = Watched(site, "", token=gone["secret"])
    going_on = Watched(site, "", token=kept["secret"])
    assert site.statuses(token=gone["secret"]) == {200}
    url = f"/api/admin/tokens/{gone['token']['id']}/revoke"
    assert site.ask("POST", url, mine, {})[0] == 200
    revoked = time.monotonic()
    assert site.statuses(token=gone["secret"]) == {401}
    assert site.statuses(token=kept["secret"]) == {200}
    assert ending.all_end_by(revoked + SECONDS)
    assert going_on.ends == []
    going_on.close()


def test_the_command_ends_sessions_without_redis(site: Site, redis_server: Redis) -> None:
    mine, hers = site.sign_in(), site.sign_in(GRACE)
    ending, others = Watched(site, mine), Watched(site, hers)
    redis_server.kill()
    done = subprocess.run(
        [sys.executable, "-m", "dmstats", "reset-password", ADA],
        check=False, cwd=ROOT, env=site.worker.environ, input="another horse battery\n",
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    reset = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert site.statuses(mine) == {401}
    assert ending.all_end_by(reset + SECONDS)
    assert others.ends == []
    others.close()


def test_a_link_made_by_the_command(site: Site) -> None:
    url = f"http://localhost:{site.worker.port}"
    done = subprocess.run(
        [sys.executable, "-m", "dmstats", "create-admin", NEW, "--role", "viewer",
         "--link", "--url", url],
        check=False, cwd=ROOT, env=site.worker.environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    link = done.stdout.split()[-1]
    (entry,) = site.mongo.db["dmstats_activity_log"].find({"target": NEW})
    assert (entry["event"], entry["actorKind"]) == ("person-invited", "command")
    assert link.startswith(f"{url}/password?link=")
    assert site.ask("GET", link.removeprefix(url))[0] == 200
    chosen = {"link": link.partition("?link=")[2], "password": PASSWORD}
    assert site.ask("POST", "/password", body=chosen)[0] == 200
    cookie = site.sign_in(NEW)
    assert site.statuses(cookie) == {200}
    assert site.ask("GET", "/api/admin/admins", cookie)[0] == 403
    log = (site.worker.folder / "log").read_text()
    assert chosen["link"].partition(".")[2] not in log


@pytest.mark.parametrize("places", [None, "x", {}], ids=str)
def test_an_odd_list_of_places_stops_no_sign_in(mongo: Mongo, places: object) -> None:
    apply(mongo, Settings())
    admins = AdminStore(mongo, cheap_passwords())
    ada = admins.create(ADA, PASSWORD)
    mongo.db["dmstats_admins"].update_one({}, {"$set": {"places": places}})
    with pytest.raises((StoreUnavailable, PoisonError)):  # which the sign-in passes over
        admins.remember_place(ada.id, "place")
    assert not admins.is_known_place(ADA, "place")


def test_the_database_forgets_sessions_and_old_activity_by_itself(site: Site) -> None:
    site.sign_in()
    log = site.mongo.db["dmstats_activity_log"]
    assert log.index_information()["dmstats_endsAt"]["expireAfterSeconds"] == 0
    (entry,) = log.find({})
    assert (entry["endsAt"] - entry["at"]).days == 365
    indexes = site.mongo.db["dmstats_sessions"].index_information()
    assert indexes["dmstats_endsAt"]["expireAfterSeconds"] == 0
    (session,) = site.mongo.db["dmstats_sessions"].find({"endsAt": {"$exists": True}})
    left = session["endsAt"] - datetime.now(UTC)
    assert 11.9 * 3600 < left.total_seconds() <= 12 * 3600
