"""Passkeys: added, used, counted, removed; and what is not believed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import ManualClock
from dmstats.core.settings import Settings
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.passkeys import MAX_PASSKEYS
from dmstats.web.auth import webauthn_ceremonies
from dmstats.web.auth.passkey_site import PasskeyRefused, PasskeySite, passkey_site
from dmstats.web.auth.sessions import AdminSessions
from tests.authenticator import PRESENT, VERIFIED, Authenticator, text
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite
from tests.service.test_second_factor import App, set_up

URL = "/api/admin/me/passkeys"
OWN = {"currentPassword": PASSWORD}
CREDENTIALS = {"email": EMAIL, "password": PASSWORD}
OTHER = "grace@example.com"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


def added(client: FlaskClient, name: str = "phone", **how: Any) -> Authenticator:
    """A passkey of who is signed in there."""
    authenticator = Authenticator(**how)
    options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
    sent = {"name": name, "credential": authenticator.create(options)}
    done = client.post(URL, json=sent)
    assert done.status_code == 201, done.text
    return authenticator


def new_codes(client: FlaskClient) -> list[str]:
    """The recovery codes that come with one more passkey."""
    options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
    sent = {"name": "one more", "credential": Authenticator().create(options)}
    answer = client.post(URL, json=sent)
    assert answer.headers["Cache-Control"] == "no-store"
    return list(answer.get_json()["recoveryCodes"])


def offered(client: FlaskClient) -> Any:
    answer = client.post("/login/passkey/options", json={})
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def sign_in(client: FlaskClient, authenticator: Authenticator) -> Any:
    answer = authenticator.get(offered(client))
    return client.post("/login/passkey", json={"credential": answer})


def events(site: AdminSite) -> list[tuple[str, str, str]]:
    entries = reversed(site.log.page(LogFilter(), limit=200)[0])
    return [(entry.event, entry.target, entry.details) for entry in entries]


def test_it_works(site: AdminSite, clock: ManualClock) -> None:
    mine = site.signed_in()
    authenticator = added(mine, " work laptop ")
    client = site.client()
    clock.advance(60)
    assert sign_in(client, authenticator).get_json() == {"email": EMAIL}
    assert client.get("/api/admin/me").get_json()["secondFactor"] is True
    (shown,) = client.get(URL).get_json()["passkeys"]
    assert shown["name"] == "work laptop"
    assert shown["usedAt"] > shown["createdAt"]
    assert events(site) == [
        ("signed-in", "", ""),
        ("passkey-added", EMAIL, "work laptop"),
        ("signed-in", "", "passkey"),
    ]
    assert sign_in(site.client(), authenticator).status_code == 200


def test_what_the_browser_is_asked_for(site: AdminSite) -> None:
    client = site.signed_in()
    authenticator = added(client)
    made = client.post(f"{URL}/options", json=OWN).get_json()["options"]
    assert made["rp"] == {"name": "dmstats", "id": "localhost"}
    assert made["user"]["name"] == EMAIL
    chosen = made["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    answer = authenticator.create(made)
    assert [each["id"] for each in made["excludeCredentials"]] == [answer["id"]]
    asked = offered(site.client())
    assert (asked["rpId"], asked["userVerification"]) == ("localhost", "required")
    assert asked["allowCredentials"] == [], "any passkey of this site"


def test_several_with_names(site: AdminSite) -> None:
    client = site.signed_in()
    phone, key = added(client, "phone", counts=False), added(client, "key")
    for each in (phone, key, phone):
        assert sign_in(site.client(), each).status_code == 200
    shown = client.get(URL).get_json()["passkeys"]
    assert [each["name"] for each in shown] == ["phone", "key"]
    assert client.post(f"{URL}/{shown[0]['id']}/remove", json=OWN).status_code == 204
    assert sign_in(site.client(), phone).status_code == 403
    assert sign_in(site.client(), key).status_code == 200
    assert events(site)[-3] == ("passkey-removed", EMAIL, "phone")


class TestAsSecondFactor:
    def test_the_password_alone_does_not_do_any_more(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in())
        browser = site.client()
        assert browser.post("/login", data=CREDENTIALS).headers["Location"] == "/login/code"
        assert browser.get("/api/admin/me").status_code == 401
        assert browser.post("/login/code", data={"code": "123456"}).status_code == 401
        assert sign_in(browser, authenticator).status_code == 200
        alone = site.client().post("/login", json=CREDENTIALS)
        assert (alone.status_code, alone.get_json()["title"]) == (401, "Second factor needed")

    def test_each_recovery_code_stands_in_for_it_once(self, site: AdminSite) -> None:
        client = site.signed_in()
        codes = new_codes(client)
        assert len(set(codes)) == 10
        assert new_codes(client) == [], "there are some already"
        browser = site.client()
        browser.post("/login", data=CREDENTIALS)
        assert browser.post("/login/code", data={"code": codes[0]}).status_code == 303
        assert browser.get("/api/admin/me").status_code == 200
        again = {**CREDENTIALS, "code": codes[0]}
        assert site.client().post("/login", json=again).status_code == 401
        script = {**CREDENTIALS, "code": codes[1].upper().replace("-", " ")}
        assert site.client().post("/login", json=script).status_code == 200
        assert events(site).count(("recovery-code-used", "", "")) == 2
        for code in codes[2:]:
            site.client().post("/login", json={**CREDENTIALS, "code": code})
        assert len(new_codes(client)) == 10, "none was left"

    def test_the_recovery_codes_last_as_long_as_a_factor(
        self, site: AdminSite, clock: ManualClock
    ) -> None:
        client = site.signed_in()
        old = new_codes(client)
        _, codes = set_up(client, clock)
        (shown,) = client.get(URL).get_json()["passkeys"]
        client.post(f"{URL}/{shown['id']}/remove", json=OWN)
        for code, status in ((old[0], 401), (codes[0], 200)):
            sent = {**CREDENTIALS, "code": code}
            assert site.client().post("/login", json=sent).status_code == status
        client.post("/api/admin/me/second-factor/remove", json=OWN)
        (stored,) = site.mongo.db["dmstats_admins"].find({})
        assert "recovery" not in stored
        assert not set(new_codes(client)) & set(codes)

    def test_it_needs_no_code_of_an_app(self, site: AdminSite, clock: ManualClock) -> None:
        client = site.signed_in()
        app, _ = set_up(client, clock)
        authenticator = added(client)
        assert sign_in(site.client(), authenticator).status_code == 200
        assert self.by_code(site, app) == 200

    def by_code(self, site: AdminSite, app: App) -> int:
        return site.client().post("/login", json={**CREDENTIALS, "code": app.code()}).status_code

    def test_where_one_is_required(self, clock: ManualClock) -> None:
        site = AdminSite(clock, second_factor="required")
        client = site.signed_in()
        assert client.get("/").headers["Location"] == "/me"
        added(client)
        assert client.get("/").text == "home"

    def test_removing_the_last_one(self, site: AdminSite) -> None:
        client = site.signed_in()
        added(client)
        (shown,) = client.get(URL).get_json()["passkeys"]
        client.post(f"{URL}/{shown['id']}/remove", json=OWN)
        assert site.client().post("/login", json=CREDENTIALS).status_code == 200

    def test_an_admin_removes_all(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in())
        ada = site.admins.find(EMAIL).id
        grace = site.signed_in(OTHER)
        url = f"/api/admin/admins/{ada}/remove-second-factor"
        assert grace.post(url, json=OWN).status_code == 200
        assert sign_in(site.client(), authenticator).status_code == 403
        assert site.client().post("/login", json=CREDENTIALS).status_code == 200

    @pytest.mark.parametrize("odd", [5, None, "x", {}, [5], [{}], [{"id": 1, "credential": "x"}]])
    def test_damaged_ones_open_no_way_in_without(self, site: AdminSite, odd: object) -> None:
        authenticator = added(site.signed_in())
        site.mongo.db["dmstats_admins"].update_one({}, {"$set": {"passkeys": odd}})
        assert site.client().post("/login", json=CREDENTIALS).status_code == 401
        assert sign_in(site.client(), authenticator).status_code == 403


class TestAdding:
    def test_needs_ones_password(self, site: AdminSite) -> None:
        client = site.signed_in()
        wrong = {"currentPassword": "wrong password"}
        assert client.post(f"{URL}/options", json=wrong).status_code == 403
        added(client)
        (shown,) = client.get(URL).get_json()["passkeys"]
        assert client.post(f"{URL}/{shown['id']}/remove", json=wrong).status_code == 403

    @pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb"])
    def test_needs_a_name(self, site: AdminSite, name: str) -> None:
        client = site.signed_in()
        options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
        sent = {"name": name, "credential": Authenticator().create(options)}
        assert client.post(URL, json=sent).status_code == 400

    def test_has_an_end(self, site: AdminSite) -> None:
        client = site.signed_in()
        ada = site.admins.find(EMAIL).id
        for index in range(MAX_PASSKEYS):
            site.passkeys.add(ada, f"key {index}", text(bytes([index])), b"key", 0)
        options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
        sent = {"name": "one more", "credential": Authenticator().create(options)}
        assert client.post(URL, json=sent).status_code == 409

    def test_of_another_is_not_removed(self, site: AdminSite) -> None:
        added(site.signed_in(OTHER))
        grace = site.admins.find(OTHER).id
        (passkey,) = site.passkeys.list(grace)
        client = site.signed_in()
        assert client.post(f"{URL}/{passkey.id}/remove", json=OWN).status_code == 404
        assert client.post(f"{URL}/x/remove", json=OWN).status_code == 404
        assert len(site.passkeys.list(grace)) == 1


def wrong_origin(each: Authenticator) -> None:
    each.origin = "http://localhost.evil.example"


def wrong_site(each: Authenticator) -> None:
    each.host = "evil.example"


def unverified(each: Authenticator) -> None:
    each.flags = PRESENT


def absent(each: Authenticator) -> None:
    each.flags = VERIFIED


def another_key(each: Authenticator) -> None:
    each.key = Authenticator().key


def copied(each: Authenticator) -> None:
    each.uses = 0


def another_person(each: Authenticator) -> None:
    each.handle = bytes(12)


def no_person(each: Authenticator) -> None:
    each.handle = b""


def another_credential(each: Authenticator) -> None:
    each.credential = bytes(16)


class TestWhatIsNotBelieved:
    @pytest.mark.parametrize(
        "change",
        [wrong_origin, wrong_site, unverified, absent, another_key, copied, another_person,
         no_person, another_credential],
    )  # fmt: skip
    def test_at_the_sign_in(self, site: AdminSite, change: Callable[[Authenticator], None]) -> None:
        authenticator = added(site.signed_in())
        sign_in(site.client(), authenticator)
        sign_in(site.client(), authenticator)
        change(authenticator)
        client = site.client()
        answer = sign_in(client, authenticator)
        assert answer.status_code == 403, answer.text
        assert client.get("/api/admin/me").status_code == 401
        event, target, details = events(site)[-1]
        assert (event, details) == ("sign-in-failed", "passkey")
        assert target in ("", EMAIL)

    @pytest.mark.parametrize("change", [wrong_origin, unverified, absent])
    def test_when_adding(self, site: AdminSite, change: Callable[[Authenticator], None]) -> None:
        client = site.signed_in()
        authenticator = Authenticator()
        change(authenticator)
        options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
        sent = {"name": "x", "credential": authenticator.create(options)}
        assert client.post(URL, json=sent).status_code == 403
        assert client.get(URL).get_json()["passkeys"] == []

    def test_an_answer_twice(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in(), counts=False)
        client = site.client()
        answer = {"credential": authenticator.get(offered(client))}
        assert client.post("/login/passkey", json=answer).status_code == 200
        client.post("/logout")
        assert client.post("/login/passkey", json=answer).status_code == 403

    def test_an_old_cookie_does_not_open_a_challenge_again(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in(), counts=False)
        client = site.client()
        answer = {"credential": authenticator.get(offered(client))}
        cookie = client.get_cookie("dmstats")
        assert cookie is not None
        assert client.post("/login/passkey", json=answer).status_code == 200
        again = site.client()
        again.set_cookie("dmstats", cookie.value)
        late = again.post("/login/passkey", json=answer)
        assert (late.status_code, late.get_json()["detail"][:18]) == (403, "This took too long")

    def test_an_answer_in_another_browser(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in())
        answer = {"credential": authenticator.get(offered(site.client()))}
        other = site.client()
        assert other.post("/login/passkey", json=answer).status_code == 403
        offered(other)
        assert other.post("/login/passkey", json=answer).status_code == 403

    def test_a_late_answer(self, site: AdminSite, clock: ManualClock) -> None:
        authenticator = added(site.signed_in())
        client = site.client()
        answer = {"credential": authenticator.get(offered(client))}
        clock.advance(300)
        assert client.post("/login/passkey", json=answer).status_code == 403

    def test_a_challenge_for_something_else(self, site: AdminSite) -> None:
        mine = site.signed_in()
        authenticator = added(mine)
        options = mine.post(f"{URL}/options", json=OWN).get_json()["options"]
        answer = {"credential": authenticator.get(options)}
        assert mine.post("/login/passkey", json=answer).status_code == 403

    def test_somebody_elses_challenge(self, site: AdminSite) -> None:
        """One browser, in which another person has signed in meanwhile."""
        client = site.signed_in()
        options = client.post(f"{URL}/options", json=OWN).get_json()["options"]
        signer = AdminSessions().get_signing_serializer(site.app)
        assert signer is not None
        cookie = client.get_cookie("dmstats")
        assert cookie is not None
        grace = site.signed_in(OTHER)
        theirs = grace.get_cookie("dmstats")
        assert theirs is not None
        mine = signer.loads(cookie.value)["challenge"]
        mixed = {**signer.loads(theirs.value), "challenge": mine}
        grace.set_cookie("dmstats", str(signer.dumps(mixed)))
        sent = {"name": "x", "credential": Authenticator().create(options)}
        assert grace.post(URL, json=sent).status_code == 403

    def test_another_sites_page(self, site: AdminSite) -> None:
        cross = {"Sec-Fetch-Site": "cross-site"}
        for path in ("/login/passkey/options", "/login/passkey"):
            assert site.client().post(path, json={}, headers=cross).status_code == 403

    def test_a_disabled_person(self, site: AdminSite) -> None:
        authenticator = added(site.signed_in())
        site.signed_in(OTHER)
        site.admins.set_disabled(site.admins.find(EMAIL).id, disabled=True)
        assert sign_in(site.client(), authenticator).status_code == 403

    def test_attempts_are_limited(self, site: AdminSite) -> None:
        client = site.client()
        url = "/login/passkey/options"
        statuses = [client.post(url, json={}).status_code for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        empty: dict[str, object] = {"credential": {}}
        assert client.post("/login/passkey", json=empty).status_code == 403
        assert client.post("/login/passkey", json=empty).status_code == 403
        assert len(events(site)) == 1, "without a challenge it is no attempt"


ORIGIN = PasskeySite("localhost", "http://localhost")
CHALLENGE = bytes(32)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
RIGHT = Authenticator().create(
    {"rp": {"id": "localhost"}, "user": {"id": "AAAAAAAAAAAAAAAA"}, "challenge": "A" * 43}
)


PLACES = [
    ("id",), ("rawId",), ("type",), ("response",), ("response", "clientDataJSON"),
    ("response", "attestationObject"),
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON_VALUES)
def test_any_answer_is_either_right_or_refused(place: tuple[str, ...], value: object) -> None:
    answer: Any = copy.deepcopy(RIGHT)
    inner = answer
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    with pytest.raises(PasskeyRefused):
        webauthn_ceremonies.created(answer, CHALLENGE, ORIGIN)
    webauthn_ceremonies.person_of(answer)


@given(st.binary(max_size=300))
def test_any_attestation_is_either_right_or_refused(made: bytes) -> None:
    answer: Any = copy.deepcopy(RIGHT)
    answer["response"]["attestationObject"] = text(made)
    with pytest.raises(PasskeyRefused):
        webauthn_ceremonies.created(answer, CHALLENGE, ORIGIN)


@pytest.mark.parametrize(
    ("public_url", "base", "site"),
    [
        (None, "https://stats.example.com", ("stats.example.com", "https://stats.example.com")),
        (None, "https://stats.example.com:8443/x",
         ("stats.example.com", "https://stats.example.com:8443")),
        (None, "http://localhost:8000", ("localhost", "http://localhost:8000")),
        ("https://Stats.example.com/x", "http://10.0.0.1",
         ("stats.example.com", "https://stats.example.com")),
        (None, "http://stats.example.com", None),
        (None, "http://127.0.0.1:8000", None),
        (None, "https://192.0.2.1", None),
        (None, "https://[2001:db8::1]", None),
    ],
)  # fmt: skip
def test_the_site_of_the_passkeys(
    public_url: str | None, base: str, site: tuple[str, str] | None
) -> None:
    with Flask("x").test_request_context(base_url=base):
        found = passkey_site(Settings(public_url=public_url), request)
    assert (found and (found.host, found.origin)) == site


def test_without_a_name_the_reason_is_given(site: AdminSite) -> None:
    client = site.client()
    answer = client.post("/login/passkey/options", json={}, base_url="http://127.0.0.1")
    assert answer.status_code == 403
    assert "host name" in answer.get_json()["detail"]
