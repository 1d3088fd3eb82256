from __future__ import annotations

import pytest

from dmstats.core.clock import ManualClock
from dmstats.db.admins.activity_log import LogFilter
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer

OTHER = "grace@example.com"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


def test_it_works(site: AdminSite) -> None:
    client = site.signed_in()
    created = client.post("/api/admin/admins", json={"email": OTHER, "password": PASSWORD})
    assert created.status_code == 201
    listed = client.get("/api/admin/admins").get_json()
    assert [admin["email"] for admin in listed["admins"]] == [EMAIL, OTHER]
    assert listed["admins"][1] == created.get_json()
    assert set(created.get_json()) == {
        "id", "email", "role", "disabled", "invited", "secondFactor", "refused", "refusal",
        "createdAt",
    }  # fmt: skip
    assert listed["you"] == listed["admins"][0]["id"]
    assert site.signed_in(OTHER).get("/").text == "home"


def test_a_disabled_admin_is_out_at_once_and_can_come_back(
    site: AdminSite, clock: ManualClock
) -> None:
    other, client = site.signed_in(OTHER), site.signed_in()
    ids = {admin.email: admin.id for admin in site.admins.list()}
    url = f"/api/admin/admins/{ids[OTHER]}"
    assert client.post(f"{url}/disable").get_json()["disabled"] is True
    assert other.get("/api/admin/stats").status_code == 401
    credentials = {"email": OTHER, "password": PASSWORD}
    assert site.client().post("/login", json=credentials).status_code == 401
    assert client.post(f"{url}/enable").get_json()["disabled"] is False
    assert other.get("/api/admin/stats").status_code == 401, "the old session stays ended"
    assert site.signed_in(OTHER).get("/api/admin/stats").status_code == 200


def test_admins_cannot_disable_themselves(site: AdminSite) -> None:
    client = site.signed_in()
    me = client.get("/api/admin/admins").get_json()["you"]
    answer = client.post(f"/api/admin/admins/{me}/disable")
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")


def test_a_changed_password_ends_the_other_sessions(site: AdminSite) -> None:
    here, alternate_id = site.signed_in(), site.signed_in()
    me = here.get("/api/admin/admins").get_json()["you"]
    url, new = f"/api/admin/admins/{me}/password", "a quite new password"
    wrong = here.post(url, json={"currentPassword": "wrong password", "password": new})
    assert wrong.status_code == 403
    weak = here.post(url, json={"currentPassword": PASSWORD, "password": "short"})
    assert weak.status_code == 400
    assert "8 characters" in weak.get_json()["detail"]
    assert alternate_id.get("/").status_code == 200
    assert here.post(url, json={"currentPassword": PASSWORD, "password": new}).status_code == 200
    assert here.get("/").status_code == 200
    assert alternate_id.get("/").status_code == 302
    assert site.admins.verify(EMAIL, new)
    assert not site.admins.verify(EMAIL, PASSWORD)


def test_guessing_the_current_password_is_throttled(site: AdminSite) -> None:
    client = site.signed_in()
    me = client.get("/api/admin/admins").get_json()["you"]
    guess = {"currentPassword": "wrong password", "password": "a quite new password"}
    statuses = [
        client.post(f"/api/admin/admins/{me}/password", json=guess).status_code for _ in range(6)
    ]
    assert statuses == [403] * 5 + [429]
    again = site.signed_in()
    assert again.post(f"/api/admin/admins/{me}/password", json=guess).status_code == 429
    assert client.post(f"/api/admin/admins/{me}/role", json={"role": "admin"}).status_code == 200
    assert client.post(f"/api/admin/admins/{me}/password", json=guess).status_code == 429


def test_the_present_role_changes_nothing(site: AdminSite) -> None:
    client, alternate = site.signed_in(), site.signed_in()
    me = client.get("/api/admin/admins").get_json()["you"]
    assert client.post(f"/api/admin/admins/{me}/role", json={"role": "admin"}).status_code == 200
    assert alternate.get("/").status_code == 200
    assert "role-changed" not in [entry.event for entry in site.log.page(LogFilter(), limit=9)[0]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": EMAIL, "password": PASSWORD}, 409),
        ({"email": EMAIL.upper(), "password": PASSWORD}, 409),
        ({"email": "no address", "password": PASSWORD}, 400),
        ({"email": OTHER, "password": "2 short"}, 400),
        ({"email": OTHER, "password": "x" * 1025}, 400),
        ({"email": {"$gt": ""}, "password": PASSWORD}, 400),
        ({"email": OTHER}, 400),
    ],
)
def test_what_is_refused(site: AdminSite, body: dict[str, object], status: int) -> None:
    client = site.signed_in()
    answer = client.post("/api/admin/admins", json=body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert len(site.admins.list()) == 1


def test_oneself_is_not_disabled_however_the_id_is_written(site: AdminSite) -> None:
    client = site.signed_in()
    site.signed_in(OTHER)
    me = client.get("/api/admin/admins").get_json()["you"]
    for spelling in (me, me.upper()):
        assert client.post(f"/api/admin/admins/{spelling}/disable").status_code == 403
    assert client.get("/api/admin/me").status_code == 200


@pytest.mark.parametrize("admin_id", ["0" * 24, "f" * 24, "x", "%7B%22$ne%22:1%7D", "z" * 24])
def test_an_unknown_admin(site: AdminSite, admin_id: str) -> None:
    client = site.signed_in()
    assert client.post(f"/api/admin/admins/{admin_id}/disable").status_code == 404


def test_scripts_with_the_token_do_not_manage_admins(site: AdminSite) -> None:
    admin = site.admins.create(EMAIL, PASSWORD)
    client = site.client()
    assert client.get("/api/admin/admins", headers=bearer(TOKEN)).status_code == 403
    for path in ("", f"/{admin.id}/disable", f"/{admin.id}/enable", f"/{admin.id}/password"):
        answer = client.post(f"/api/admin/admins{path}", json={}, headers=bearer(TOKEN))
        assert answer.status_code == 403
    assert site.admins.list() == [admin]
