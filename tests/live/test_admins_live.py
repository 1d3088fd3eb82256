"""What only a real database shows: unique indexes, races, plans."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest
import redis

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable, TooManyRequests
from dmstats.core.settings import Settings
from dmstats.db import client
from dmstats.db.admins.admin_store import AdminStore, EmailTaken, LastAdmin
from dmstats.db.admins.passkeys import Passkeys, Purpose
from dmstats.db.admins.password_link import LinkOver
from dmstats.db.admins.roles import Role
from dmstats.db.admins.second_factor import SecondFactors
from dmstats.db.client import Mongo, connect
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.account_order import Position, Sort
from dmstats.web.auth.rate_limit import SignInRateLimit
from tests.keyspace import KEYS
from tests.servers import Redis, free_port
from tests.service.admin_site import EMAIL, PASSWORD, cheap_passwords

pytestmark = pytest.mark.live


@pytest.fixture
def admins(mongo: Mongo, clock: ManualClock) -> AdminStore:
    mongo.db["dmstats_admins"].create_index("email", unique=True)
    return AdminStore(mongo, cheap_passwords(), clock)


def at_once(times: int, work: Callable[[int], None]) -> None:
    barrier = threading.Barrier(times)

    def run(number: int) -> None:
        barrier.wait(10)
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_it_works(admins: AdminStore) -> None:
    created = admins.create(EMAIL, PASSWORD)
    assert admins.verify(EMAIL, PASSWORD) == created
    assert admins.list() == [created]
    with pytest.raises(EmailTaken):
        admins.create(EMAIL, PASSWORD)
    admins.create("grace@example.com", PASSWORD)
    assert admins.set_disabled(created.id, disabled=True).session_epoch == 2
    assert admins.verify(EMAIL, PASSWORD) is None


def test_two_admins_demote_each_other_concurrently(admins: AdminStore) -> None:
    ids = [admins.create(f"{name}@example.com", PASSWORD).id for name in ("ada", "grace")]
    for _ in range(10):

        def demote(number: int) -> None:
            with contextlib.suppress(LastAdmin):
                admins.set_role(ids[number], Role.VIEWER)

        at_once(2, demote)
        left = [admin.id for admin in admins.list() if admin.role is Role.ADMIN]
        assert left, "somebody is left who can manage people"
        for key in ids:
            admins.set_role(key, Role.ADMIN)


@pytest.mark.parametrize("what", ["link", "recovery code", "app's code", "challenge"])
def test_what_holds_once_holds_for_one_of_many_at_once(
    admins: AdminStore, mongo: Mongo, clock: ManualClock, what: str
) -> None:
    ada, factors = admins.create(EMAIL, PASSWORD), SecondFactors(mongo, clock, "secret key")
    passkeys = Passkeys(mongo, clock)
    app = pyotp.TOTP(factors.offer(ada.id))
    codes = factors.confirm(ada.id, app.at(clock.now_ms() // 1000))
    clock.advance(30)
    link, challenge = admins.make_link(ada.id)[1].token, passkeys.challenge(Purpose.SIGN_IN)
    uses: dict[str, Callable[[], object]] = {
        "link": lambda: admins.redeem(link, "a quite new password"),
        "recovery code": lambda: factors.check(ada.id, codes[0]),
        "app's code": lambda: factors.check(ada.id, app.at(clock.now_ms() // 1000)),
        "challenge": lambda: passkeys.redeem(challenge, Purpose.SIGN_IN),
    }
    passed: list[int] = []

    def use(number: int) -> None:
        with contextlib.suppress(LinkOver):
            if uses[what]():
                passed.append(number)

    at_once(8, use)
    assert len(passed) == 1


def test_of_many_starts_one_makes_the_first_admin(mongo: Mongo, clock: ManualClock) -> None:
    # Without the index, and with different emails: only the id stands in the way.
    made: list[int] = []

    def start(number: int) -> None:
        if AdminStore(mongo, cheap_passwords(), clock).first(
            f"a{number}@b.c", f"{PASSWORD}{number}"
        ):
            made.append(number)

    at_once(6, start)
    assert len(made) == 1
    assert mongo.db["dmstats_admins"].count_documents({}) == 1


def test_of_many_with_one_email_one_is_created(admins: AdminStore) -> None:
    taken: list[int] = []

    def create(number: int) -> None:
        try:
            admins.create(EMAIL, PASSWORD)
        except EmailTaken:
            taken.append(number)

    at_once(6, create)
    assert len(taken) == 5
    assert len(admins.list()) == 1


def test_the_store_says_that_it_is_away(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "OPERATION_MS", 500)
    mongo = connect(Settings(mongodb_uri=f"mongodb://127.0.0.1:{free_port()}"))
    admins = AdminStore(mongo, cheap_passwords(), clock)
    with pytest.raises(StoreUnavailable):
        admins.list()
    with pytest.raises(StoreUnavailable):
        admins.verify(EMAIL, PASSWORD)
    mongo.close()


def test_accounts_page_by_page(mongo: Mongo) -> None:
    collection = mongo.db["instagram_accounts"]
    for field in ("instagramId", "dmUsed", "createdAt", "username"):
        collection.create_index(field)
    collection.insert_many(
        {"instagramId": f"{n * 37 % 101:03}", "username": f"shop{n:03}", "dmUsed": n // 40}
        for n in range(101)
    )
    accounts = AccountDirectory(mongo)
    seen: list[tuple[int, str]] = []
    after: Position | None = None
    while True:
        page = accounts.page(Sort("dmUsed", True), after, 7)
        seen += [(-(row.dm_used or 0), row.instagram_id) for row in page.accounts]
        after = page.after
        if after is None:
            break
    assert len(seen) == 101
    assert seen == sorted(seen)
    matches, complete = accounts.matches("SHOP00")
    assert complete
    found = accounts.cut(matches, Sort("username", False), None, 20).accounts
    assert [row.username for row in found] == [f"shop{n:03}" for n in range(10)]


def test_the_rate_limit_holds_when_redis_dies(tmp_path: Path) -> None:
    server = Redis(tmp_path)
    server.start()
    try:
        with redis.Redis.from_url(server.url, socket_timeout=1.0) as client:
            rate_limit = SignInRateLimit(client, KEYS)
            for _ in range(5):
                rate_limit.attempt("a@b.c", "192.0.2.1")
            with pytest.raises(TooManyRequests):
                rate_limit.attempt("a@b.c", "192.0.2.1")
            server.kill()
            for _ in range(5):
                taken = rate_limit.attempt("a@b.c", "192.0.2.1")
            with pytest.raises(TooManyRequests):
                rate_limit.attempt("a@b.c", "192.0.2.1")
            server.start()
            rate_limit.succeeded(taken)
            rate_limit.attempt("a@b.c", "192.0.2.1")
    finally:
        server.stop()


def test_attempts_at_once_do_not_slip_through(redis_client: redis.Redis) -> None:
    rate_limit = SignInRateLimit(redis_client, KEYS)
    passed: list[int] = []

    def attempt(number: int) -> None:
        try:
            rate_limit.attempt("a@b.c", "192.0.2.1")
            passed.append(number)
        except TooManyRequests:
            pass

    at_once(16, attempt)
    assert len(passed) == 5
