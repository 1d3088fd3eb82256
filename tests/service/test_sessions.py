"""Sessions in the database: what ends them, and that each ends on its own."""

from __future__ import annotations

from typing import ClassVar

import pytest
from bson import ObjectId
from bson.errors import InvalidBSON

from dmstats.core.clock import ManualClock
from dmstats.core.errors import NotSignedIn, StoreUnavailable
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.session_store import LAST_ENDING, SessionStore, session_key
from dmstats.db.client import Mongo
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite, cheap_passwords, mock_mongo

OTHER = "grace@example.com"


@pytest.fixture
def mongo() -> Mongo:
    return mock_mongo()


@pytest.fixture
def admins(mongo: Mongo, clock: ManualClock) -> AdminStore:
    return AdminStore(mongo, cheap_passwords(), clock)


@pytest.fixture
def ada(admins: AdminStore) -> Admin:
    return admins.create(EMAIL, PASSWORD)


@pytest.fixture
def sessions(mongo: Mongo, clock: ManualClock) -> SessionStore:
    return SessionStore(mongo, clock)


def open_one(sessions: SessionStore, admin: Admin) -> str:
    return session_key(sessions.open(admin))


def test_it_works(sessions: SessionStore, mongo: Mongo, ada: Admin) -> None:
    token = sessions.open(ada)
    key = session_key(token)
    found = sessions.find(key)
    assert found is not None
    assert found[1].id == ada.id
    assert token not in str(list(mongo.db["dmstats_sessions"].find())), "only its digest is kept"
    sessions.end(key)
    assert sessions.find(key) is None


def test_it_ends_twelve_hours_after_the_sign_in_however_it_is_used(
    sessions: SessionStore, ada: Admin, clock: ManualClock
) -> None:
    key = open_one(sessions, ada)
    for _ in range(11):
        clock.advance(3600)
        found = sessions.find(key)
        assert found is not None
        sessions.renew(found[0])
    assert sessions.standing({key}) == {key}
    clock.advance(3600)
    assert sessions.find(key) is None
    assert sessions.standing({key}) == set()


def test_a_longer_one_ends_after_twelve_idle_hours(
    mongo: Mongo, ada: Admin, clock: ManualClock
) -> None:
    sessions = SessionStore(mongo, clock, hours=48)
    key = open_one(sessions, ada)
    for _ in range(4):
        clock.advance(11 * 3600)
        found = sessions.find(key)
        assert found is not None
        sessions.renew(found[0])
    assert SessionStore(mongo, clock, hours=24).find(key) is None, "a shorter setting holds at once"
    clock.advance(4 * 3600)
    assert sessions.find(key) is None, "48 hours"
    idle = open_one(sessions, ada)
    clock.advance(12 * 3600)
    assert sessions.find(idle) is None


@pytest.mark.parametrize(
    ("back", "holds"), [(0, True), (60, True), (2 * 3600, False), (86_400, False), (1e9, False)]
)
def test_one_that_was_opened_while_the_clock_was_ahead(
    sessions: SessionStore, ada: Admin, clock: ManualClock, back: float, holds: bool
) -> None:
    """It would last until that time, and its length after that."""
    clock.step(1e9)
    key = session_key(sessions.open(ada))
    clock.step(-back)
    assert (sessions.find(key) is not None) is holds
    assert (key in sessions.standing({key})) is holds


def test_one_that_was_ended_is_not_renewed(
    sessions: SessionStore, ada: Admin, clock: ManualClock, mongo: Mongo
) -> None:
    key = open_one(sessions, ada)
    clock.advance(2 * 3600)
    found = sessions.find(key)
    assert found is not None
    sessions.end(key)
    sessions.renew(found[0])
    assert sessions.find(key) is None
    assert mongo.db["dmstats_sessions"].count_documents({"_id": {"$ne": LAST_ENDING}}) == 0


def test_each_ending_ends_the_right_ones(
    sessions: SessionStore, admins: AdminStore, ada: Admin
) -> None:
    grace = admins.create(OTHER, PASSWORD)
    here, there, hers = (open_one(sessions, admin) for admin in (ada, ada, grace))
    every, marks = {here, there, hers}, {sessions.last_ending()}
    sessions.end(here)
    assert sessions.standing(every) == {there, hers}
    marks.add(sessions.last_ending())
    changed = admins.change_password(ada.id, "a quite new password")
    assert sessions.standing(every) == {hers}
    marks.add(sessions.last_ending())
    again = open_one(sessions, changed)
    assert admins.sign_out_everywhere(ada.id).session_epoch == 3
    assert sessions.standing({again, hers}) == {hers}
    marks.add(sessions.last_ending())
    admins.set_disabled(grace.id, disabled=True)
    assert sessions.standing({hers}) == set()
    marks.add(sessions.last_ending())
    assert len(marks) == 5, "each ending can be noticed by one read"


def test_signing_in_while_being_shut_out(
    sessions: SessionStore, admins: AdminStore, ada: Admin
) -> None:
    """The password was checked just before: the session must not outlive the change."""
    admins.change_password(ada.id, "a quite new password")
    with pytest.raises(NotSignedIn):
        sessions.open(ada)
    admins.create(OTHER, PASSWORD)
    disabled = admins.set_disabled(ada.id, disabled=True)
    with pytest.raises(NotSignedIn):
        sessions.open(disabled)
    assert sessions.standing(set()) == set()


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"startedAt": "x", "usedAt": None},
        {"startedAt": 5, "usedAt": 5, "admin": None},
        {"admin": "x", "adminEpoch": None},
    ],
)
def test_odd_documents_among_the_sessions(
    sessions: SessionStore, mongo: Mongo, ada: Admin, odd: dict[str, object]
) -> None:
    key = open_one(sessions, ada)
    mongo.db["dmstats_sessions"].insert_one({"_id": "odd", **odd})
    assert sessions.find("odd") is None
    assert sessions.standing({"odd", key}) == {key}


class TestTheSite:
    def test_a_copied_cookie_is_worthless_after_the_sign_out(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        client, other = site.signed_in(), site.signed_in()
        copied = client.get_cookie("dmstats")
        assert copied is not None
        assert client.post("/logout").status_code == 303
        thief = site.client()
        thief.set_cookie("dmstats", copied.value)
        assert thief.get("/api/admin/stats").status_code == 401
        assert other.get("/api/admin/stats").status_code == 200, "another browser goes on"

    def test_it_never_lasts_longer_than_the_setting(self, clock: ManualClock) -> None:
        site = AdminSite(clock, session_hours=24)
        client = site.signed_in()
        for hour in range(24):
            assert client.get("/api/admin/stats").status_code == 200, hour
            clock.advance(3600)
        assert client.get("/api/admin/stats").status_code == 401

    def test_no_change_of_oneself_makes_it_last_longer(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        site.admins.create(OTHER, PASSWORD)
        client = site.signed_in()
        me = client.get("/api/admin/admins").get_json()["you"]
        started = site.mongo.db["dmstats_sessions"].find_one({"startedAt": {"$exists": True}})
        clock.advance(6 * 3600)
        same = client.post(f"/api/admin/admins/{me}/role", json={"role": "admin"})
        assert same.get_json()["role"] == "admin"
        new = {"currentPassword": PASSWORD, "password": "a quite new password"}
        assert client.post("/api/admin/me/password", json=new).status_code == 200
        lower = client.post(f"/api/admin/admins/{me}/role", json={"role": "operator"})
        assert lower.status_code == 200
        (session,) = site.mongo.db["dmstats_sessions"].find({"startedAt": {"$exists": True}})
        assert started is not None
        assert session["startedAt"] == started["startedAt"]
        assert client.get("/api/admin/stats").status_code == 200
        clock.advance(6 * 3600)
        assert client.get("/api/admin/stats").status_code == 401

    def test_signing_in_again_ends_the_session_before(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        client = site.signed_in()
        copied = client.get_cookie("dmstats")
        assert copied is not None
        client.post("/login", json={"email": EMAIL, "password": PASSWORD})
        thief = site.client()
        thief.set_cookie("dmstats", copied.value)
        assert thief.get("/api/admin/stats").status_code == 401

    def test_a_cookie_of_the_release_before_leads_to_the_sign_in(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        admin = site.admins.create(EMAIL, PASSWORD)
        client = site.client()
        with client.session_transaction() as before:
            before.update(admin=admin.id, epoch=1, at=clock.now_ms() // 1000)
        assert client.get("/").headers["Location"] == "/login"
        assert client.post("/login", json={"email": EMAIL, "password": PASSWORD}).status_code == 200
        assert client.get("/").text == "home"

    def test_signing_out_everywhere(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        here, there, other = site.signed_in(), site.signed_in(), site.signed_in(OTHER)
        me = here.get("/api/admin/admins").get_json()["you"]
        assert other.post(f"/api/admin/admins/{me}/sign-out").status_code == 200
        assert [who.get("/").status_code for who in (here, there, other)] == [302, 302, 200]

    def test_while_the_database_is_away(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = AdminSite(clock)
        client = site.signed_in()
        assert client.get("/").text == "home"

        def away(*_: object) -> None:
            raise StoreUnavailable("no server")

        for name in ("find", "end"):
            monkeypatch.setattr(site.sessions, name, away)
        assert client.get("/").text == "home", "what was valid may read on"
        assert client.post("/api/admin/stats/refresh").status_code == 503
        assert client.get("/login").status_code in (200, 303)
        page = client.post("/logout")
        assert page.status_code == 503
        assert "signed out in this browser" in page.text
        assert client.get("/").status_code == 302, "the browser has forgotten it"


class TestOddAdmins:
    ODD: ClassVar[tuple[dict[str, object], ...]] = (
        {},
        {"email": 5},
        {"email": "n@example.com", "sessionEpoch": None},
        {"email": "t@example.com", "sessionEpoch": "x"},
        {"_id": "text-id", "email": "i@example.com"},
        {"email": "h@example.com", "passwordHash": 7, "createdAt": "yesterday"},
    )

    @pytest.mark.parametrize("odd", ODD, ids=str)
    def test_one_damaged_document_locks_out_no_other_admin(
        self, clock: ManualClock, odd: dict[str, object]
    ) -> None:
        site = AdminSite(clock)
        client = site.signed_in()
        site.mongo.db["dmstats_admins"].insert_one(dict(odd))
        assert client.get("/api/admin/stats").status_code == 200
        assert client.get("/api/admin/admins").status_code == 200
        assert site.signed_in().get("/").text == "home"
        if isinstance(email := odd.get("email"), str):
            answer = site.client().post("/login", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 401

    def test_one_impossible_date_hides_no_admin(
        self, admins: AdminStore, ada: Admin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        find = admins._collection.find

        def as_the_driver(where: object, fields: dict[str, object]) -> object:
            if "createdAt" in fields:
                raise InvalidBSON("year 10000 is out of range")
            return find(where, fields)

        monkeypatch.setattr(admins._collection, "find", as_the_driver)
        assert [admin.email for admin in admins.list()] == [ada.email]

    def test_an_admin_without_an_epoch_can_be_repaired(
        self, mongo: Mongo, admins: AdminStore, sessions: SessionStore, ada: Admin
    ) -> None:
        key = open_one(sessions, ada)
        mongo.db["dmstats_admins"].update_one({}, {"$set": {"sessionEpoch": None}})
        assert sessions.find(key) is None
        assert admins.change_password(ada.id, "a quite new password").session_epoch == 1
        found = admins.verify(EMAIL, "a quite new password")
        assert found is not None
        assert sessions.find(open_one(sessions, found))

    def test_the_thousand_and_first_admin(self, clock: ManualClock) -> None:
        site = AdminSite(clock)
        site.signed_in("zz@example.com")
        collection = site.mongo.db["dmstats_admins"]
        model = collection.find_one() or {}
        collection.drop_index("email_1")  # the mock reads all of them for each new one
        collection.insert_many(
            {**model, "_id": ObjectId(), "email": f"a{n:05}@example.com"} for n in range(1000)
        )
        client = site.signed_in("zz@example.com")
        assert client.get("/").text == "home"
        assert len(client.get("/api/admin/admins").get_json()["admins"]) == 1001
