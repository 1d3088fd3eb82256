from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.scopes import Scope
from dmstats.web.auth.access import enforce
from dmstats.web.auth.authenticator import stream_session
from dmstats.web.auth.session_guard import LOOK_SECONDS
from dmstats.web.auth.sign_in_page import own_path
from tests.service.admin_site import EMAIL, PASSWORD, TOKEN, AdminSite, bearer

CREDENTIALS = {"email": EMAIL, "password": PASSWORD}


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    site = AdminSite(clock)
    site.admins.create(EMAIL, PASSWORD)
    return site


def sign_in(client: FlaskClient, password: str = PASSWORD, **options: Any) -> TestResponse:
    return client.post("/login", data={"email": EMAIL, "password": password}, **options)


def test_it_works(site: AdminSite) -> None:
    client = site.client()
    assert client.get("/").headers["Location"] == "/login"
    answer = sign_in(client)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert client.get("/").text == "home"
    assert client.get("/login").headers["Location"] == "/"
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/").status_code == 302


def test_json_in_json_out(site: AdminSite) -> None:
    client = site.client()
    answer = client.post("/login", json={"email": f" {EMAIL.upper()} ", "password": PASSWORD})
    assert (answer.status_code, answer.json) == (200, {"email": EMAIL})
    assert client.post("/logout", json={}).status_code == 204
    assert client.get("/api/admin/stats").status_code == 401


def test_the_page_asked_for_comes_after_signing_in(site: AdminSite) -> None:
    client = site.client()
    login = client.get("/accounts?sort=-dmUsed&query=a%26b").headers["Location"]
    page = client.get(login)
    target = page.text.split("|")[2].replace("&amp;", "&")
    assert target == "/accounts?sort=-dmUsed&query=a%26b"
    answer = client.post("/login", data={"email": EMAIL, "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == target


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil",
        "",
        "/" + "a" * 3000,
    ],
)
def test_no_open_redirect(site: AdminSite, target: str) -> None:
    assert own_path(target) == "/"
    form = {"email": EMAIL, "password": PASSWORD, "next": target}
    assert site.client().post("/login", data=form).headers["Location"] == "/"
    assert site.client().get("/login?next=" + quote(target)).text.endswith("|/")


@pytest.mark.parametrize("email", [EMAIL, "unknown@example.com", "not an address", "\ud800@x"])
def test_a_wrong_password_and_an_unknown_email_look_alike(site: AdminSite, email: str) -> None:
    body = json.dumps({"email": email, "password": "wrong password"})
    answer = site.client().post("/login", data=body, content_type="application/json")
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["detail"] == "Email and password do not match an active account."
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "Set-Cookie" not in answer.headers


def test_the_form_says_what_went_wrong(site: AdminSite) -> None:
    answer = sign_in(site.client(), "wrong password")
    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert answer.text.split("|") == [
        "Email and password do not match an active account.", EMAIL, "/",
    ]  # fmt: skip
    empty = site.client().post("/login", data={})
    assert (empty.status_code, empty.text.split("|")[0]) == (400, "Enter your email and password.")


def test_the_store_is_away(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("no server")

    monkeypatch.setattr(site.admins, "verify", away)
    answer = sign_in(site.client())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "Try again in a moment" in answer.text
    assert "no server" not in answer.text


def test_the_sixth_failure_waits_even_with_the_right_password(site: AdminSite) -> None:
    client = site.client()
    for _ in range(5):
        assert sign_in(client, "wrong password").status_code == 401
    answer = sign_in(client)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "Too many attempts" in answer.text
    other = {"email": "other@example.com", "password": "wrong password"}
    assert client.post("/login", data=other).status_code == 401, "another account is not held up"


def test_only_failures_count(site: AdminSite) -> None:
    for _ in range(3):
        for _ in range(4):
            assert sign_in(site.client(), "wrong password").status_code == 401
        assert sign_in(site.client()).status_code == 303


def test_one_address_cannot_try_many_accounts(site: AdminSite) -> None:
    client = site.client()
    statuses = [
        client.post("/login", json={"email": f"a{n}@x.y", "password": "guess"}).status_code
        for n in range(31)
    ]
    assert statuses == [401] * 30 + [429]
    alternate_id = {"REMOTE_ADDR": "203.0.113.9"}
    assert sign_in(client, environ_overrides=alternate_id).status_code == 303


def far_away(n: int) -> dict[str, str]:
    return {"REMOTE_ADDR": f"203.0.113.{n}"}


def wide(email: str, at: int) -> str:
    """``email`` with one letter in its full-width form, which NFKC makes the same."""
    return email[:at] + chr(ord(email[at]) + 0xFEE0) + email[at + 1 :]


def test_every_spelling_is_one_account(site: AdminSite) -> None:
    spellings = [wide(EMAIL, n) for n, c in enumerate(EMAIL) if c.isalpha()]
    statuses = [
        site.client().post("/login", json={"email": email, "password": "guess"}).status_code
        for email in spellings
    ]
    assert statuses == [401] * 5 + [429] * (len(spellings) - 5)


def test_another_spelling_signs_in_as_the_same_admin(site: AdminSite) -> None:
    credentials = {"email": wide(EMAIL, 0), "password": PASSWORD}
    assert site.client().post("/login", json=credentials).get_json() == {"email": EMAIL}


def test_what_is_no_address_is_one_account(site: AdminSite) -> None:
    statuses = [
        site.client().post("/login", json={"email": f"no {n}", "password": "x"}).status_code
        for n in range(6)
    ]
    assert statuses == [401] * 5 + [429]


class TestStrangersCannotLockOut:
    def flood(self, site: AdminSite, start: int = 0) -> None:
        for n in range(110):
            sign_in(site.client(), "wrong password", environ_overrides=far_away(start + n))
        answer = sign_in(site.client(), environ_overrides={"REMOTE_ADDR": "2001:db8::1"})
        assert answer.status_code == 429, "not even with the right password, from nowhere known"

    def test_from_an_address_of_before(self, site: AdminSite) -> None:
        assert sign_in(site.client()).status_code == 303
        self.flood(site)
        assert sign_in(site.client()).status_code == 303

    def test_in_a_browser_of_before(self, site: AdminSite) -> None:
        browser = site.client()
        assert sign_in(browser).status_code == 303
        browser.post("/logout")
        self.flood(site)
        answer = sign_in(browser, environ_overrides={"REMOTE_ADDR": "2001:db8:1::1"})
        assert answer.status_code == 303

    def test_not_even_at_the_same_address(self, site: AdminSite) -> None:
        """As where a proxy is not trusted, and all come from its address."""
        browser = site.client()
        assert sign_in(browser).status_code == 303
        browser.post("/logout")
        for _ in range(6):
            sign_in(site.client(), "wrong password")
        assert sign_in(site.client()).status_code == 429
        assert sign_in(browser).status_code == 303

    def test_a_browser_is_known_for_its_own_account_alone(self, site: AdminSite) -> None:
        browser = site.signed_in("grace@example.com")
        self.flood(site)
        answer = sign_in(browser, environ_overrides={"REMOTE_ADDR": "2001:db8:1::1"})
        assert answer.status_code == 429

    def test_no_address_is_stored(self, site: AdminSite) -> None:
        sign_in(site.client(), environ_overrides=far_away(7))
        stored = site.mongo.db["dmstats_admins"].find_one() or {}
        assert len(stored["places"]) == 1
        assert "203.0.113.7" not in str(stored)
        for n in range(20):
            sign_in(site.client(), environ_overrides=far_away(n))
        stored = site.mongo.db["dmstats_admins"].find_one() or {}
        assert len(stored["places"]) == 10


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "https://localhost"}, 303),
        ({"Origin": "HTTPS://LOCALHOST"}, 303),
        ({"Origin": "https://localhost:444"}, 403),
        ({"Origin": "http://localhost:8000"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_other_sites_cannot_sign_anyone_in_or_out(
    site: AdminSite, headers: dict[str, str], status: int
) -> None:
    assert sign_in(site.client(), headers=headers).status_code == status
    assert site.client().post("/logout", headers=headers).status_code == status


def test_other_sites_cannot_use_the_cookie(site: AdminSite) -> None:
    client = site.signed_in()
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/api/admin/stats/refresh", headers=cross).status_code == 403
    assert site.stats.refreshes == []
    assert client.get("/api/admin/stats", headers=cross).status_code == 200
    by_token = client.post("/api/admin/stats/refresh", headers=cross | bearer(TOKEN))
    assert by_token.status_code == 202, "no browser adds a bearer token by itself"


@pytest.mark.parametrize(
    ("url", "name", "secure"),
    [
        ("http://localhost", "dmstats", False),
        ("http://localhost:8000", "dmstats-8000", False),
        ("http://127.0.0.1:8001", "dmstats-8001", False),
        ("http://[::1]", "dmstats", False),
        ("http://[::1]:8000", "dmstats-8000", False),
        ("https://127.0.0.1:8000", "__Host-dmstats-8000", True),
        ("https://stats.example.com", "__Host-dmstats", True),
        ("https://example.com/stats", "__Host-dmstats-stats", True),
        ("https://example.com:8443/tools/stats", "__Host-dmstats-8443-tools-stats", True),
    ],
)
def test_the_cookie(site: AdminSite, url: str, name: str, secure: bool) -> None:
    """Browsers send it to all ports and paths of the host: each installation has its own name."""
    cookie = sign_in(site.client(), base_url=url).headers["Set-Cookie"]
    parts = cookie.split("; ")
    assert parts[0].startswith(f"{name}=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(parts)
    assert ("Secure" in parts) is secure
    assert "Domain" not in cookie


@pytest.mark.parametrize("url", ["http://192.168.1.5:8000", "http://stats.example.com"])
def test_plain_http_from_another_machine_is_refused_in_words(site: AdminSite, url: str) -> None:
    """The browser would drop the cookie, and the right password lead back to an empty form."""
    client = site.client()
    assert client.get("/login", base_url=url).text.startswith(NEEDS_HTTPS)
    for body in ({"data": CREDENTIALS}, {"json": CREDENTIALS}):
        answer = client.post("/login", base_url=url, **body)
        assert answer.status_code == 403
        assert NEEDS_HTTPS in answer.text
        assert "Set-Cookie" not in answer.headers
    assert "TRUSTED_PROXIES" in NEEDS_HTTPS


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Forwarded-Proto": "https"},
        {"Origin": "https://stats.example.com", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://stats.example.com"},  # a browser without Fetch Metadata
    ],
)
def test_https_by_a_proxy_that_is_not_trusted(site: AdminSite, headers: dict[str, str]) -> None:
    url = "http://stats.example.com"
    assert NEEDS_HTTPS not in site.client().get("/login", base_url=url, headers=headers).text
    cookie = sign_in(site.client(), base_url=url, headers=headers).headers["Set-Cookie"]
    assert cookie.startswith("__Host-dmstats=")
    assert "Secure" in cookie


def test_on_this_machine_and_over_https_nothing_is_said(site: AdminSite) -> None:
    for url in ("http://localhost:8000", "http://[::1]:8000", "https://stats.example.com"):
        assert site.client().get("/login", base_url=url).text.startswith("|")


def test_signing_in_starts_a_new_session(site: AdminSite) -> None:
    client = site.client()
    with client.session_transaction() as planted:
        planted["planted"] = True
        planted["admin"] = "somebody"
    sign_in(client)
    with client.session_transaction() as session:
        assert set(session) == {"_permanent", "token", "device", "known"}


def test_a_forged_or_foreign_cookie_signs_in_no_admin(site: AdminSite) -> None:
    client = site.client()
    client.set_cookie("dmstats", "eyJhZG1pbiI6IjEifQ.aaaa.bbbb")
    assert client.get("/api/admin/stats").status_code == 401
    with client.session_transaction() as session:
        session.update(token={"$ne": None})
    assert client.get("/api/admin/stats").status_code == 401


def test_a_session_ends_after_twelve_idle_hours(clock: ManualClock) -> None:
    client = AdminSite(clock, session_hours=72).signed_in()
    for _ in range(3):
        clock.advance(11 * 3600)
        assert client.get("/api/admin/stats").status_code == 200
    clock.advance(12 * 3600)
    assert client.get("/api/admin/stats").status_code == 401


def test_the_token_of_the_settings_has_all_scopes_and_no_end(
    site: AdminSite, clock: ManualClock
) -> None:
    clock.advance(3650 * 86_400)
    with site.app.test_request_context(headers=bearer(TOKEN)):
        identity = site.app.extensions["dmstats"].authenticator.identify()
    assert identity.scopes == frozenset(Scope)
    assert site.client().get("/api/admin/stats", headers=bearer(TOKEN)).status_code == 200


def test_the_bearer_token(site: AdminSite, clock: ManualClock) -> None:
    client = site.client()
    assert client.get("/api/admin/stats", headers=bearer(TOKEN)).status_code == 200
    lower = {"Authorization": f"bearer {TOKEN}"}
    assert client.get("/api/admin/stats", headers=lower).status_code == 200
    for wrong in ("", TOKEN[:-1], TOKEN + "x", "ä" * 20):
        assert client.get("/api/admin/stats", headers=bearer(wrong)).status_code == 401
    basic = {"Authorization": f"Basic {TOKEN}"}
    assert client.get("/api/admin/stats", headers=basic).status_code == 401
    off = AdminSite(clock, admin_api_token=None).client()
    for sent in ("", "None", TOKEN):
        assert off.get("/api/admin/stats", headers=bearer(sent)).status_code == 401


class TestABearerThatIsNotOurs:
    """An identity proxy in front adds one of its own to each request."""

    JWT = "eyJhbGciOiJub25lIn0.e30.x"

    def test_the_session_counts(self, site: AdminSite) -> None:
        client, foreign = site.client(), bearer(self.JWT)
        assert sign_in(client, headers=foreign).status_code == 303
        assert client.get("/", headers=foreign).text == "home"
        assert client.get("/api/admin/stats", headers=foreign).status_code == 200
        assert client.get("/login", headers=foreign).status_code == 303
        assert client.post("/api/admin/stats/refresh", headers=foreign).status_code == 202

    def test_it_does_not_excuse_from_the_rules_for_cookies(self, site: AdminSite) -> None:
        client, cross = site.signed_in(), bearer(self.JWT) | {"Sec-Fetch-Site": "cross-site"}
        assert client.post("/api/admin/stats/refresh", headers=cross).status_code == 403
        assert site.stats.refreshes == []

    def test_alone_it_identifies_no_one(self, site: AdminSite) -> None:
        assert site.client().get("/", headers=bearer(self.JWT)).headers["Location"] == "/login"
        assert site.client().get("/api/admin/stats", headers=bearer("")).status_code == 401

    def test_our_token_decides_alone(self, site: AdminSite) -> None:
        client = site.signed_in()
        answer = client.get("/api/admin/admins", headers=bearer(TOKEN))
        assert answer.status_code == 403, "a script, whatever cookie it sends along"


def test_a_token_with_equals_signs_inside(clock: ManualClock) -> None:
    client = AdminSite(clock, admin_api_token="a=b,c=d==").client()
    assert client.get("/api/admin/stats", headers=bearer("a=b,c=d==")).status_code == 200


def stream_of(site: AdminSite, headers: dict[str, str]) -> str:
    with site.app.test_request_context("/api/admin/stats", headers=headers):
        assert enforce() is None
        return stream_session()


def cookie_of(client: FlaskClient) -> dict[str, str]:
    cookie = client.get_cookie("dmstats")
    assert cookie is not None
    return {"Cookie": f"dmstats={cookie.value}"}


def test_a_stream_outlives_its_request_but_not_its_admin(site: AdminSite) -> None:
    authenticator = site.app.extensions["dmstats"].authenticator
    mine = stream_of(site, cookie_of(site.signed_in()))
    assert stream_of(site, bearer(TOKEN)) == "", "scripts have no session that could end"
    assert authenticator.ended({mine}) == set()
    site.signed_in("grace@example.com")
    site.admins.set_disabled(site.admins.find(EMAIL).id, disabled=True)
    assert authenticator.ended({mine}) == {mine}


def test_a_stolen_sessions_stream_ends_and_ones_own_new_one_does_not(site: AdminSite) -> None:
    client = site.signed_in()
    authenticator = site.app.extensions["dmstats"].authenticator
    stolen = stream_of(site, cookie_of(client))
    me = client.get("/api/admin/admins").get_json()["you"]
    change = {"currentPassword": PASSWORD, "password": "a quite new password"}
    assert client.post(f"/api/admin/admins/{me}/password", json=change).status_code == 200
    mine = stream_of(site, cookie_of(client))
    assert authenticator.ended({stolen, mine}) == {stolen}


def test_a_stream_ends_with_its_session(site: AdminSite, clock: ManualClock) -> None:
    authenticator = site.app.extensions["dmstats"].authenticator
    mine = stream_of(site, cookie_of(site.signed_in()))
    clock.advance(12 * 3600 - 1)
    assert authenticator.ended({mine}) == set()
    clock.advance(1 + LOOK_SECONDS)
    assert authenticator.ended({mine}) == {mine}


def test_large_bodies_are_refused(site: AdminSite) -> None:
    answer = site.client().post("/login", json={"email": EMAIL, "password": "x" * 20_000})
    assert answer.status_code == 413
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b'"x"', b"null", b"{}", b"\xff",
        b'{"email": {"$ne": null}, "password": {"$ne": null}}',
        b'{"email": ["a@b.c"], "password": "x"}',
        b'{"email": "a@b.c", "password": "x", "role": "root"}',
        b"[" * 8_000,
    ],
)  # fmt: skip
def test_what_is_not_credentials_is_a_400(site: AdminSite, body: bytes) -> None:
    answer = site.client().post("/login", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["title"] == "Bad request"
