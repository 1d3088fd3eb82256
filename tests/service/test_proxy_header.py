"""Signing in whom an identity proxy names: by its address alone, and only on the sign-in page."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix

from dmstats.core.clock import ManualClock
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.password_link import LinkOver
from dmstats.db.admins.roles import Role
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer
from tests.service.test_second_factor import set_up

HEADER = "X-Auth-Request-Email"
PROXY = "10.1.2.3"
OTHER = "grace@example.com"


def site_of(clock: ManualClock, **settings: Any) -> AdminSite:
    network = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    made = AdminSite(clock, proxy_auth_header=HEADER, proxy_auth_from=network, **settings)
    for email, role in ((EMAIL, Role.OPERATOR), (OTHER, Role.ADMIN)):
        made.admins.create(email, PASSWORD, role)
    return made


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return site_of(clock)


def ask(client: FlaskClient, path: str, email: str | None = EMAIL, peer: str = PROXY) -> Any:
    headers = {} if email is None else {HEADER: email}
    return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": peer})


def events(site: AdminSite) -> list[tuple[str, str, str]]:
    entries = reversed(site.log.page(LogFilter(), limit=200)[0])
    return [(entry.event, entry.target, entry.details) for entry in entries]


def test_it_works(site: AdminSite) -> None:
    client = site.client()
    assert ask(client, "/accounts").headers["Location"] == "/login?next=/accounts"
    done = ask(client, "/login?next=/accounts")
    assert (done.status_code, done.headers["Location"]) == (303, "/accounts")
    me = ask(client, "/api/admin/me").get_json()
    assert (me["email"], me["role"]) == (EMAIL, "operator")
    assert events(site) == [("signed-in", "", "proxy")]


@pytest.mark.parametrize(
    ("peer", "signed_in"),
    [("10.1.255.255", True), ("::ffff:10.1.2.3", True), ("fd12::1", True), ("10.2.0.1", False),
     ("127.0.0.1", False), ("", False), ("unix:", False)],
)  # fmt: skip
def test_only_from_these_addresses(site: AdminSite, peer: str, signed_in: bool) -> None:
    answer = ask(site.client(), "/login", peer=peer)
    assert answer.status_code == (303 if signed_in else 200)
    if not signed_in:
        assert answer.text == "||/"


@pytest.mark.parametrize("named", ["\xaada@example.com", "ad\xaa@example.com"])
def test_an_email_that_only_looks_like_one(site: AdminSite, named: str) -> None:
    client = site.client()
    assert ask(client, "/login", named).status_code == 403
    ask(client, "/login")
    assert ask(client, "/api/admin/me").status_code == 200
    assert ask(client, "/api/admin/me", named).status_code == 401, "that is somebody else"


def test_the_address_is_that_of_the_connection(site: AdminSite) -> None:
    """Behind one more proxy, what ``X-Forwarded-For`` says counts for nothing here."""
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    made_up = {HEADER: EMAIL, "X-Forwarded-For": PROXY}
    answer = site.client().get("/login", headers=made_up, environ_base={"REMOTE_ADDR": "10.9.9.9"})
    assert answer.status_code == 200
    real = {HEADER: EMAIL, "X-Forwarded-For": "203.0.113.7"}
    answer = site.client().get("/login", headers=real, environ_base={"REMOTE_ADDR": PROXY})
    assert answer.status_code == 303


def test_an_invited_person_needs_no_password(clock: ManualClock) -> None:
    site = site_of(clock, second_factor="required")
    invited = "new@example.com"
    admin, link = site.admins.invite(invited, Role.OPERATOR)
    client = site.client()
    assert ask(client, "/login", invited).status_code == 303
    person = site.admins.get(admin.id)
    assert (person.invited, person.passwordless) == (False, True)
    with pytest.raises(LinkOver):
        site.admins.redeem(link.token, PASSWORD)
    set_up(client, clock)
    assert client.get("/api/admin/stats").status_code == 200


def test_without_the_setting_the_header_is_nothing(clock: ManualClock) -> None:
    site = AdminSite(clock)
    site.admins.create(EMAIL, PASSWORD)
    assert ask(site.client(), "/login").status_code == 200


def test_it_is_no_way_into_the_api(site: AdminSite) -> None:
    client = site.client()
    assert ask(client, "/api/admin/stats").status_code == 401
    sent = {HEADER: EMAIL, **bearer("somebody-elses")}
    peer = {"REMOTE_ADDR": PROXY}
    assert client.get("/api/admin/stats", headers=sent, environ_base=peer).status_code == 401
    sent = {HEADER: "stranger@example.com", **bearer(TOKEN)}
    assert client.get("/api/admin/stats", headers=sent, environ_base=peer).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        *((odd, 200) for odd in (
            [""], [" "], ["ada"], ["@"], [EMAIL, OTHER], [EMAIL, EMAIL], [f"{EMAIL}, {OTHER}"],
            [f"Ada <{EMAIL}>"], ["ada%40example.com"], [f"{EMAIL} x"], [f"x {EMAIL}"],
            ["a" * 251 + "@b.c"], ["", EMAIL],
        )),
        *((odd, 403) for odd in (
            [EMAIL, ""], [f"{EMAIL};"], [f"<{EMAIL}>"], [f"mailto:{EMAIL}"],
            [f"{EMAIL}."], [f'"{EMAIL}"'], [f"{EMAIL}\xa0"], [f"\xa0{EMAIL}"], ["ada@example.com."],
            ["$ne@x"], ["ada@example\xadcom"],
        )),
        *((same, 303) for same in ([EMAIL], [EMAIL.upper()], [f"  {EMAIL}\t"])),
    ],
    ids=str,
)  # fmt: skip
def test_what_names_a_person(site: AdminSite, sent: list[str], status: int) -> None:
    """Whatever is not quite the address of a person signs in nobody; a doubled header is one with
    commas."""
    client = site.client()
    headers = [(HEADER.upper(), value) for value in sent]
    answer = client.get("/login", headers=headers, environ_base={"REMOTE_ADDR": PROXY})
    assert answer.status_code == status
    me = client.get("/api/admin/me")
    assert (me.get_json()["email"] if status == 303 else me.status_code) == (
        EMAIL if status == 303 else 401
    )


@pytest.mark.parametrize("path", ["/login/code", "/login/sso", "/me", "/api/admin/me", "/password"])
def test_it_counts_on_the_sign_in_page_alone(site: AdminSite, path: str) -> None:
    client = site.client()
    ask(client, path)
    assert client.get("/api/admin/me").status_code == 401


def test_who_has_no_account(site: AdminSite) -> None:
    answer = ask(site.client(), "/login", "stranger@example.com")
    assert answer.status_code == 403
    assert "no account for stranger@example.com" in answer.text
    assert events(site) == [("sign-in-failed", "", "proxy")]


def test_who_is_disabled(site: AdminSite) -> None:
    site.admins.set_disabled(site.admins.find(EMAIL).id, disabled=True)
    answer = ask(site.client(), "/login")
    assert answer.status_code == 403
    assert "disabled" in answer.text
    assert events(site) == [("sign-in-failed", EMAIL, "proxy")]


def test_another_person_at_the_proxy_does_not_get_the_session_before(site: AdminSite) -> None:
    client = site.client()
    ask(client, "/login")
    assert ask(client, "/api/admin/me", OTHER).status_code == 401
    assert ask(client, "/login", OTHER).status_code == 303
    assert ask(client, "/api/admin/me", OTHER).get_json()["email"] == OTHER


def test_a_session_by_password_stays_whatever_the_proxy_says(site: AdminSite) -> None:
    client = site.signed_in(OTHER)
    assert ask(client, "/api/admin/me").get_json()["email"] == OTHER
    assert ask(client, "/login").headers["Location"] == "/"
    assert ask(client, "/api/admin/me").get_json()["email"] == OTHER


def test_signing_out_is_not_undone_at_once(site: AdminSite) -> None:
    client = site.client()
    ask(client, "/login")
    sent = {"headers": {HEADER: EMAIL}, "environ_base": {"REMOTE_ADDR": PROXY}}
    left = client.post("/logout", **sent).headers["Location"]
    assert left == "/login?signed-out=yes"
    assert ask(client, left).text == f"||/|as {EMAIL}"
    assert ask(client, "/login").status_code == 303


def test_ones_own_second_factor_is_asked_unless_the_proxys_counts(clock: ManualClock) -> None:
    site = site_of(clock)
    app, _ = set_up(site.signed_in(), clock)
    client = site.client()
    assert ask(client, "/login").headers["Location"] == "/login/code"
    assert client.post("/login/code", data={"code": app.code()}).status_code == 303
    assert ask(client, "/api/admin/me", OTHER).status_code == 401, "still one of the proxy's"
    trusting = site_of(clock, sso_second_factor="provider", second_factor="required")
    client = trusting.client()
    ask(client, "/login")
    assert ask(client, "/accounts").status_code == 200
