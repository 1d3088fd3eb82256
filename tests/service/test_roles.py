"""Roles: who gets which, who keeps one, and what the earlier release's data means."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import greenlet
import pytest
from bson import Int64, ObjectId

from dmstats.core.clock import ManualClock
from dmstats.core.errors import NotFound
from dmstats.db.admins.admin_store import AdminStore, LastAdmin
from dmstats.db.admins.roles import Role, role_from
from dmstats.db.client import Mongo
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite, cheap_passwords, mock_mongo

OTHER = "grace@example.com"
BEFORE_ROLES = {
    "_id": ObjectId("65a000000000000000000001"),
    "email": EMAIL,
    "passwordHash": cheap_passwords().hash(PASSWORD),
    "disabled": False,
    "sessionEpoch": Int64(3),
    "createdAt": datetime(2026, 11, 1, tzinfo=UTC),
    "places": ["0123456789abcdef0123456789abcdef"],
}
"""An admin as the release before roles has stored it, with an open session."""
ITS_SESSION = {
    "admin": BEFORE_ROLES["_id"],
    "adminEpoch": 3,
}


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


@pytest.fixture
def mongo() -> Mongo:
    return mock_mongo()


@pytest.fixture
def admins(mongo: Mongo, clock: ManualClock) -> AdminStore:
    return AdminStore(mongo, cheap_passwords(), clock)


def test_it_works(site: AdminSite) -> None:
    ada, viewer = site.signed_in(), site.signed_in(OTHER, Role.VIEWER)
    assert viewer.get("/api/admin/stats").status_code == 200
    refused = viewer.post("/api/admin/stats/refresh")
    assert (refused.status_code, refused.mimetype) == (403, "application/problem+json")
    assert "viewer" in refused.get_json()["detail"]
    assert site.stats.refreshes == []
    url = f"/api/admin/admins/{site.admins.find(OTHER).id}/role"
    assert ada.post(url, json={"role": "operator"}).get_json()["role"] == "operator"
    assert viewer.get("/api/admin/stats").status_code == 401, "a new role begins with a sign-in"
    operator = site.signed_in(OTHER)
    assert operator.post("/api/admin/stats/refresh").status_code == 202
    assert operator.get("/api/admin/admins").status_code == 403


class TestUpgrade:
    def test_everybody_of_before_is_an_admin(self, site: AdminSite) -> None:
        site.mongo.db["dmstats_admins"].insert_one(dict(BEFORE_ROLES))
        client = site.signed_in()
        listed = client.get("/api/admin/admins").get_json()
        assert [(each["email"], each["role"]) for each in listed["admins"]] == [(EMAIL, "admin")]
        assert client.post("/api/admin/stats/refresh").status_code == 202

    def test_and_stays_signed_in(self, site: AdminSite, clock: ManualClock) -> None:
        site.mongo.db["dmstats_admins"].insert_one(dict(BEFORE_ROLES))
        client = site.signed_in()
        (session,) = site.mongo.db["dmstats_sessions"].find({})
        assert {name: session[name] for name in ITS_SESSION} == ITS_SESSION
        assert client.get("/api/admin/me").get_json()["role"] == "admin"

    def test_the_last_of_them_stays_one(self, mongo: Mongo, admins: AdminStore) -> None:
        mongo.db["dmstats_admins"].insert_one(dict(BEFORE_ROLES))
        key = str(BEFORE_ROLES["_id"])
        with pytest.raises(LastAdmin):
            admins.set_role(key, Role.VIEWER)
        assert admins.find(EMAIL).role is Role.ADMIN
        admins.create(OTHER, PASSWORD)
        assert admins.set_role(key, Role.VIEWER).role is Role.VIEWER


@pytest.mark.parametrize("odd", [None, "", "owner", "ADMIN", 1, True, ["admin"], {"admin": 1}])
def test_what_is_no_role_gives_no_rights(odd: object) -> None:
    assert role_from({"role": odd}) is Role.VIEWER
    assert role_from({}) is Role.ADMIN


class TestTheLastAdmin:
    def test_is_neither_demoted_nor_disabled(self, admins: AdminStore) -> None:
        ada = admins.create(EMAIL, PASSWORD)
        admins.create(OTHER, PASSWORD, Role.OPERATOR)
        with pytest.raises(LastAdmin):
            admins.set_role(ada.id, Role.OPERATOR)
        with pytest.raises(LastAdmin):
            admins.set_disabled(ada.id, disabled=True)
        assert admins.find(EMAIL) == ada, "nothing has changed, and the sessions are open"

    def test_who_cannot_sign_in_does_not_count(self, admins: AdminStore) -> None:
        ada = admins.create(EMAIL, PASSWORD)
        admins.invite(OTHER)
        out = admins.create("eve@example.com", PASSWORD)
        admins.set_disabled(out.id, disabled=True)
        with pytest.raises(LastAdmin):
            admins.set_disabled(ada.id, disabled=True)
        assert admins.set_disabled(out.id, disabled=True).disabled, "is out already"

    def test_others_may_go(self, admins: AdminStore) -> None:
        admins.create(EMAIL, PASSWORD)
        other = admins.create(OTHER, PASSWORD)
        assert admins.set_role(other.id, Role.VIEWER).role is Role.VIEWER

    def test_is_explained(self, site: AdminSite) -> None:
        ada = site.signed_in()
        me = ada.get("/api/admin/me").get_json()["id"]
        answer = ada.post(f"/api/admin/admins/{me}/role", json={"role": "viewer"})
        assert answer.status_code == 409
        assert "last admin" in answer.get_json()["detail"]
        assert ada.get("/api/admin/me").get_json()["role"] == "admin"


TAKING: dict[str, Callable[[AdminStore, str], object]] = {
    "demoted": lambda admins, key: admins.set_role(key, Role.VIEWER),
    "disabled": lambda admins, key: admins.set_disabled(key, disabled=True),
    "refused": lambda admins, key: admins.refuse(key),
}
"""What takes the right to manage people."""
STEPS = 4
"""So many times each of them asks the database for people, at most."""


class Interleaved:
    """A collection that switches to the scheduler before every call."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def __getattr__(self, name: str) -> Any:
        if (scheduler := greenlet.getcurrent().parent) is not None:
            scheduler.switch()
        return getattr(self._collection, name)


def orders() -> Iterator[tuple[int, ...]]:
    """Each order in which two requests can take their steps."""
    for first in itertools.combinations(range(2 * STEPS), STEPS):
        yield tuple(0 if at in first else 1 for at in range(2 * STEPS))


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(
    "pair", [*itertools.combinations_with_replacement(TAKING, 2)], ids="-".join
)
def test_two_requests_in_any_order_leave_an_admin(
    clock: ManualClock, pair: tuple[str, str], others: int
) -> None:
    """Both for the last admin, or for the last two."""
    for order in orders():
        real = mock_mongo()
        store = AdminStore(real, cheap_passwords(), clock)
        ids = [store.create(email, PASSWORD).id for email in (EMAIL, OTHER)[: others + 1]]
        db = {name: real.db[name] for name in ("dmstats_sessions", "dmstats_admins")}
        db["dmstats_admins"] = Interleaved(db["dmstats_admins"])  # type: ignore[assignment]
        admins = AdminStore(SimpleNamespace(db=db), cheap_passwords(), clock)  # type: ignore[arg-type]

        def ask(taking: str, key: str, admins: AdminStore = admins) -> None:
            with contextlib.suppress(LastAdmin):
                TAKING[taking](admins, key)

        requests = [greenlet.greenlet(ask) for _ in pair]
        for request, taking, key in zip(requests, pair, (ids[0], ids[-1]), strict=True):
            request.switch(taking, key)
        for turn in order:
            if not requests[turn].dead:
                requests[turn].switch()
        assert [request.dead for request in requests] == [True, True], "all steps are taken"
        left = [each for each in store.list() if each.role is Role.ADMIN]
        assert [each for each in left if not (each.disabled or each.refused)], order


def test_the_last_admins_rights_are_not_even_taken_for_a_moment(
    admins: AdminStore, mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage just then nobody would be left to give them back."""
    ada, writes = admins.create(EMAIL, PASSWORD), list[object]()
    people = type(mongo.db["dmstats_admins"])
    for name in ("update_one", "find_one_and_update"):
        monkeypatch.setattr(people, name, lambda *_, **__: writes.append(1))
    for take in TAKING.values():
        with pytest.raises(LastAdmin):
            take(admins, ada.id)
    assert writes == []


def test_stepping_down_opens_a_new_session(site: AdminSite) -> None:
    ada, elsewhere = site.signed_in(), site.signed_in()
    site.signed_in(OTHER)
    me = ada.get("/api/admin/me").get_json()["id"]
    assert ada.post(f"/api/admin/admins/{me}/role", json={"role": "viewer"}).status_code == 200
    assert ada.get("/api/admin/me").get_json()["role"] == "viewer"
    assert elsewhere.get("/api/admin/me").status_code == 401


def test_an_invitation_outlives_a_change_of_role(admins: AdminStore) -> None:
    admin, link = admins.invite(OTHER, Role.VIEWER)
    assert admins.set_role(admin.id, Role.OPERATOR).invited
    assert admins.redeem(link.token, PASSWORD).role is Role.OPERATOR


@pytest.mark.parametrize("role", ["root", "", None, 1, {"$ne": "viewer"}])
def test_an_unknown_role_is_refused(site: AdminSite, role: object) -> None:
    ada = site.signed_in()
    me = ada.get("/api/admin/me").get_json()["id"]
    assert ada.post(f"/api/admin/admins/{me}/role", json={"role": role}).status_code == 400
    new = {"email": OTHER, "password": PASSWORD, "role": role}
    assert ada.post("/api/admin/admins", json=new).status_code == 400


def test_an_unknown_person_has_none(admins: AdminStore) -> None:
    with pytest.raises(NotFound):
        admins.set_role("f" * 24, Role.VIEWER)


class TestOneself:
    NEW = "a quite new password"

    def test_a_viewer_changes_the_own_password(self, site: AdminSite) -> None:
        site.signed_in()
        here, elsewhere = site.signed_in(OTHER, Role.VIEWER), site.signed_in(OTHER)
        url = "/api/admin/me/password"
        wrong = {"currentPassword": "wrong password", "password": self.NEW}
        assert here.post(url, json=wrong).status_code == 403
        right = {"currentPassword": PASSWORD, "password": self.NEW}
        assert here.post(url, json=right).status_code == 200
        assert here.get("/api/admin/me").get_json()["email"] == OTHER
        assert elsewhere.get("/api/admin/me").status_code == 401
        assert site.admins.verify(OTHER, self.NEW)

    def test_a_viewer_signs_out_everywhere(self, site: AdminSite) -> None:
        here, elsewhere = site.signed_in(OTHER, Role.VIEWER), site.signed_in(OTHER)
        assert here.post("/api/admin/me/sign-out", json={}).status_code == 204
        assert {client.get("/api/admin/me").status_code for client in (here, elsewhere)} == {401}

    def test_another_sites_page_does_not(self, site: AdminSite) -> None:
        client = site.signed_in()
        headers = {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/api/admin/me/sign-out", headers=headers).status_code == 403
        assert client.get("/api/admin/me").status_code == 200
