"""Sessions across workers: what is ended anywhere is refused everywhere, and streams end."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyotp
import pytest
from flask import Flask

from dmstats.core.clock import SystemClock
from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.passkeys import Passkeys
from dmstats.db.admins.roles import Role
from dmstats.db.admins.second_factor import SecondFactors
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.admins.shared_links import Part
from dmstats.db.client import Mongo, connect
from dmstats.snapshot.shared import ALWAYS, FIELDS
from dmstats.web.auth.access import ACCESS
from dmstats.web.auth.sessions import AdminSessions
from migrations import apply
from tests.live.conftest import Dmstats
from tests.servers import Redis, running
from tests.service.admin_site import cheap_passwords
from tests.sse import PATH, Stream
from tests.streamworker import Worker

pytestmark = [pytest.mark.live, pytest.mark.slow(25)]

PASSWORD = "correct horse battery"
PRIVATE = {"no-store", "private, no-cache"}
SECRET_LENGTH = len(secrets.token_urlsafe(32))
"""Of a shared link: it may contain hyphens."""

SECONDS = 10.0
"""Within so many seconds open streams have to end: a second is usual, the machine may be busy."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with running(Redis(tmp_path_factory.mktemp("redis"))) as server:
        yield server


@pytest.fixture(scope="module")
def shared(
    mongodb_uri: str, cache: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=f"sessions_{uuid.uuid4().hex[:12]}")
    with contextlib.closing(connect(settings)) as mongo:
        apply(mongo, settings)
        folder = tmp_path_factory.mktemp("worker")
        with running(Worker(folder, mongo, cache.url, WEB_CONCURRENCY="2")) as worker:
            yield Site(worker, mongo)


@pytest.fixture
def site(shared: Site) -> Site:
    """The workers that all tests share, with two admins of the test's own."""
    shared.begin_anew()
    return shared


class Site:
    """Two workers and what browsers do with them; each request has a connection of its own."""

    def __init__(self, worker: Worker, mongo: Mongo) -> None:
        self.worker = worker
        self.mongo = mongo
        self.ada = self.grace = ""
        self._signing = Flask(__name__)
        self._signing.secret_key = worker.environ["SECRET_KEY"]

    def begin_anew(self) -> None:
        name, admins = uuid.uuid4().hex[:8], AdminStore(self.mongo, cheap_passwords())
        self.ada, self.grace = f"ada-{name}@example.com", f"grace-{name}@example.com"
        for email in (self.ada, self.grace):
            admins.create(email, PASSWORD)

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

    def sign_in(self, email: str = "") -> str:
        """As that admin, else as Ada."""
        signing_in = {"email": email or self.ada, "password": PASSWORD}
        for _ in range(4):
            status, _, cookie = self.ask("POST", "/login", body=signing_in)
            if status != 503:  # a busy machine took too long
                break
        assert status == 200
        return cookie

    def session_of(self, email: str) -> str:
        """As after a sign-in, of which one address has only so many a minute."""
        admin = AdminStore(self.mongo).find(email)
        signer = AdminSessions().get_signing_serializer(self._signing)
        assert signer
        token = SessionStore(self.mongo, SystemClock()).open(admin)
        return f"dmstats-{self.worker.port}={signer.dumps({'token': token})}"

    def id_of(self, cookie: str) -> str:
        return str(json.loads(self.ask("GET", "/api/admin/admins", cookie)[1])["you"])

    def statuses(self, cookie: str = "", *, token: str = "") -> set[int]:
        """What both workers say: a dozen new connections meet each of them."""
        return {self.ask("GET", "/api/admin/stats", cookie, token=token)[0] for _ in range(12)}


class Watched:
    """Open streams of one session, and when each of them ended."""

    def __init__(
        self, site: Site, cookie: str, count: int = 4, *, token: str = "", path: str = PATH
    ) -> None:
        port = site.worker.port
        self.streams = [Stream(port, token, cookie=cookie, path=path) for _ in range(count)]
        assert {stream.status for stream in self.streams} == {200}
        self.ends: list[float] = []
        self._closing = False
        self._threads = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in self.streams
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Stream) -> None:
        try:
            stream.rest()
        except ConnectionResetError:
            assert self._closing  # by us, before the end that the server then writes
        self.ends.append(time.monotonic())
        stream.close()

    def all_end_by(self, moment: float) -> bool:
        for thread in self._threads:
            thread.join(max(0.0, moment + 1 - time.monotonic()))
        return len(self.ends) == len(self.streams) and max(self.ends) <= moment

    def close(self) -> None:
        self._closing = True
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
    other = site.sign_in(site.grace)
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


ShutOut = Callable[[Site, str, str], object]


def by_admin(verb: str, **body: str) -> ShutOut:
    def shut_out(site: Site, her_id: str, mine: str) -> None:
        url = f"/api/admin/admins/{her_id}/{verb}"
        assert site.ask("POST", url, mine, body)[0] == 200

    return shut_out


def by_link(site: Site, her_id: str, _: str) -> None:
    link = AdminStore(site.mongo).make_link(her_id)[1].token
    sent = {"link": link, "password": "another horse battery"}
    assert site.ask("POST", "/password", body=sent)[0] == 200


OWN = {"currentPassword": PASSWORD}
SHUT_OUT: dict[str, ShutOut] = {
    "disabled": by_admin("disable"),
    "signed out": by_admin("sign-out"),
    "demoted": by_admin("role", role="viewer"),
    "a new password": by_admin("password", password="another horse battery", **OWN),
    "no second factor any more": by_admin("remove-second-factor", **OWN),
    "a password by a link": by_link,
    # What the answer of a sign-in does, wherever it is done.
    "another role at the provider":
        lambda site, key, _: AdminStore(site.mongo).set_role(key, Role.OPERATOR),
    "no role at the provider": lambda site, key, _: AdminStore(site.mongo).refuse(key),
}  # fmt: skip


@pytest.mark.parametrize("how", SHUT_OUT)
def test_another_admin_is_shut_out(site: Site, how: str) -> None:
    hers, mine = site.session_of(site.grace), site.session_of(site.ada)
    key = site.id_of(hers)
    ending, going_on = Watched(site, hers), Watched(site, mine)
    SHUT_OUT[how](site, key, mine)
    shut_out = time.monotonic()
    assert site.statuses(hers) == {401}
    assert site.statuses(mine) == {200}
    assert ending.all_end_by(shut_out + SECONDS)
    assert going_on.ends == []
    going_on.close()
    if how == "no role at the provider":
        again = {"email": site.grace, "password": PASSWORD}
        assert site.ask("POST", "/login", body=again)[0] == 403


@pytest.mark.parametrize("step", ["confirm", "recovery-codes", "remove", "passkey"])
def test_what_changes_ones_factors_ends_the_other_sessions(site: Site, step: str) -> None:
    url = "/api/admin/me/second-factor"
    here, elsewhere = site.session_of(site.ada), site.session_of(site.ada)
    key, factors = site.id_of(here), SecondFactors(site.mongo, SystemClock(), "k" * 32)
    if step == "confirm":
        offer = json.loads(site.ask("POST", url, here, OWN)[1])
        path, sent = f"{url}/confirm", {"code": pyotp.TOTP(offer["secret"]).now()}
    elif step == "passkey":
        made = Passkeys(site.mongo, SystemClock()).add(key, "phone", "credential", b"key", 0)
        path, sent = f"/api/admin/me/passkeys/{made.id}/remove", OWN
    else:
        factors.confirm(key, pyotp.TOTP(factors.offer(key)).now())
        path, sent = f"{url}/{step}", OWN
    ending = Watched(site, elsewhere)
    status, body, mine = site.ask("POST", path, here, sent)
    changed = time.monotonic()
    assert status in (200, 204), body
    assert site.statuses(elsewhere) == site.statuses(here) == {401}
    assert site.statuses(mine) == {200}
    assert ending.all_end_by(changed + SECONDS)


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


def test_revoking_a_shared_link_ends_it_everywhere(site: Site) -> None:
    """Before that, its streams have the chosen parts of each snapshot, and no others."""
    mine = site.sign_in()
    wanted = {"label": "wall", "parts": ["people"], "days": 1}
    gone, kept = (
        json.loads(site.ask("POST", "/api/admin/links", mine, wanted)[1]) for _ in range(2)
    )
    here = f"http://localhost:{site.worker.port}"
    path, other = (each["address"].removeprefix(here) for each in (gone, kept))
    reading = Stream(site.worker.port, path=f"{path}/stream")
    first = reading.next_data("stats")
    status = site.ask("POST", "/api/admin/stats/refresh", mine, {})[0]
    assert status == 202
    later = reading.next_data("stats")
    assert later["version"] != first["version"]
    assert set(first) == set(later) == ALWAYS | FIELDS[Part.PEOPLE]
    reading.close()
    ending = Watched(site, "", path=f"{path}/stream")
    going_on = Watched(site, "", path=f"{other}/stream")
    assert site.ask("POST", f"/api/admin/links/{gone['link']['id']}/revoke", mine, {})[0] == 200
    revoked = time.monotonic()
    assert {site.ask("GET", f"{path}/stats")[0] for _ in range(12)} == {404}
    assert {site.ask("GET", f"{other}/stats")[0] for _ in range(12)} == {200}
    assert ending.all_end_by(revoked + SECONDS)
    assert going_on.ends == []
    going_on.close()
    log = (site.worker.folder / "log").read_text()
    assert not any(each[-SECRET_LENGTH:] in log for each in (path, other))


def test_no_cache_between_keeps_what_needs_a_session(site: Site) -> None:
    cookie, found = site.sign_in(), {}
    for operation in ACCESS:
        method, _, rule = operation.partition(" ")
        if method == "GET" and not ACCESS[operation].is_open and not rule.endswith("/stream"):
            path = re.sub(r"<[^>]+>", "65a000000000000000000001", rule)
            connection = http.client.HTTPConnection("localhost", site.worker.port, timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", path, headers={"Cookie": cookie})
                answer = connection.getresponse()
                found[operation] = answer.status, answer.getheader("Cache-Control")
    assert len(found) > 30
    assert {status for status, _ in found.values()} <= {200, 401, 404}
    kept = {each for each, (_, cached) in found.items() if cached not in PRIVATE}
    assert kept == set()


def test_the_command_ends_sessions_without_redis(
    site: Site, cache: Redis, dmstats: Dmstats
) -> None:
    mine, hers = site.sign_in(), site.sign_in(site.grace)
    ending, others = Watched(site, mine), Watched(site, hers)
    cache.kill()
    new = "another horse battery\n"
    done = dmstats(site.worker.environ, "reset-password", site.ada, stdin=new)
    reset = time.monotonic()
    assert done.returncode == 0, done.stderr
    assert site.statuses(mine) == {401}
    assert ending.all_end_by(reset + SECONDS)
    assert others.ends == []
    others.close()
    cache.start()


def test_a_link_made_by_the_command(site: Site, dmstats: Dmstats) -> None:
    url, new = f"http://localhost:{site.worker.port}", f"new-{site.ada}"
    arguments = ("create-admin", new, "--role", "viewer", "--link", "--url", url)
    done = dmstats(site.worker.environ, *arguments)
    assert done.returncode == 0, done.stderr
    link = done.stdout.split()[-1]
    (entry,) = site.mongo.db["dmstats_activity_log"].find({"target": new})
    assert (entry["event"], entry["actorKind"]) == ("person-invited", "command")
    assert link.startswith(f"{url}/password?link=")
    assert site.ask("GET", link.removeprefix(url))[0] == 200
    chosen = {"link": link.partition("?link=")[2], "password": PASSWORD}
    assert site.ask("POST", "/password", body=chosen)[0] == 200
    cookie = site.sign_in(new)
    assert site.statuses(cookie) == {200}
    assert site.ask("GET", "/api/admin/admins", cookie)[0] == 403
    log = (site.worker.folder / "log").read_text()
    assert chosen["link"].partition(".")[2] not in log


@pytest.mark.parametrize("places", [None, "x", {}], ids=str)
def test_an_odd_list_of_places_stops_no_sign_in(mongo: Mongo, places: object) -> None:
    apply(mongo, Settings())
    admins = AdminStore(mongo, cheap_passwords())
    email = "ada@example.com"
    ada = admins.create(email, PASSWORD)
    mongo.db["dmstats_admins"].update_one({}, {"$set": {"places": places}})
    with pytest.raises((StoreUnavailable, PoisonError)):  # which the sign-in passes over
        admins.remember_place(ada.id, "place")
    assert not admins.is_known_place(email, "place")


def test_the_database_expires_sessions_and_old_activity(site: Site) -> None:
    site.sign_in()
    log = site.mongo.db["dmstats_activity_log"]
    assert log.index_information()["dmstats_endsAt"]["expireAfterSeconds"] == 0
    assert {(entry["endsAt"] - entry["at"]).days for entry in log.find({})} == {365}
    indexes = site.mongo.db["dmstats_sessions"].index_information()
    assert indexes["dmstats_endsAt"]["expireAfterSeconds"] == 0
    found = site.mongo.db["dmstats_sessions"].find({"endsAt": {"$exists": True}})
    left = max(session["endsAt"] for session in found) - datetime.now(UTC)
    assert 11.9 * 3600 < left.total_seconds() <= 12 * 3600
