"""Signing in by an OpenID Connect provider: a real one, over HTTP."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import trustme
import urllib3
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from werkzeug.test import TestResponse

from dmstats.core.clock import ManualClock
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.password_link import LinkOver
from dmstats.db.admins.roles import Role
from dmstats.ops import oidc_discovery
from dmstats.web.auth import oidc
from tests import provider as provider_module
from tests.provider import CLIENT_ID, CLIENT_SECRET, KEYS, Provider
from tests.service.admin_site import EMAIL, PASSWORD, AdminSite
from tests.service.test_passkeys import added
from tests.service.test_passkeys import sign_in as sign_in_by_passkey
from tests.service.test_second_factor import set_up


def token(header: dict[str, Any], claims: str, key: Any = None) -> str:
    """A token with the claims of the right one, encoded as they are."""
    signed = f"{encoded(json.dumps(header).encode())}.{claims}"
    if key is None:
        return f"{signed}."
    return f"{signed}.{encoded(hmac.digest(key, signed.encode(), 'sha256'))}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_own_key(right: str, **header: Any) -> str:
    """Signed by an attacker's key, which the header itself names."""
    own = KEYS[1]
    claims = json.loads(base64.urlsafe_b64decode(right.split(".")[1] + "=="))
    return jwt.encode({"alg": "RS256", "kid": "first", **header}, claims, own, ["RS256"])


def with_email(right: str) -> str:
    """The right signature, and other claims."""
    header, claims, signature = right.split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{header}.{encoded(json.dumps({**told, 'sub': 'person-9'}).encode())}.{signature}"


FORGED: dict[str, Callable[[str], str]] = {
    **{
        f"alg {name}": lambda right, name=name: token(  # type: ignore[misc]
            {"alg": name, "kid": "first"}, right.split(".")[1]
        )
        for name in ("none", "None", "NONE", "", "HS256")
    },
    **{
        f"HMAC by the public key as {name}": lambda right, key=key: token(  # type: ignore[misc]
            {"alg": "HS256", "kid": "first"}, right.split(".")[1], key
        )
        for name, key in {
            "PEM": KEYS[0].as_pem(private=False),
            "DER": KEYS[0].as_der(private=False),
            "JSON": json.dumps(KEYS[0].as_dict(private=False)).encode(),
            "nothing": b"",
        }.items()
    },
    "no signature": lambda right: f"{right.rpartition('.')[0]}.",
    "the claims changed": with_email,
    "a key in the header": lambda right: by_own_key(right, jwk=KEYS[1].as_dict(private=False)),
    "an address of keys in the header": lambda right: by_own_key(right, jku="http://127.0.0.1:1/"),
    "two parts": lambda right: right.rpartition(".")[0],
    "five parts": lambda right: f"{right}.a.b",
    "no token": lambda _: "",
    "no text": lambda _: "\x00",
}
"""What an attacker may make of the right ID token."""


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with provider_module.provider() as started:
        yield started


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    """Does what is right, until a test says otherwise."""
    fresh = Provider(running.url)
    running.__dict__.update({**fresh.__dict__, "codes": running.codes})
    running.codes.clear()
    return running  # type: ignore[return-value]


def site_of(provider: Provider, clock: ManualClock, **settings: Any) -> AdminSite:
    return AdminSite(
        clock,
        **{
            "oidc_issuer": provider.url,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
        }
        | settings,
    )


@pytest.fixture
def site(provider: Provider, clock: ManualClock) -> AdminSite:
    made = site_of(provider, clock)
    made.admins.create(EMAIL, PASSWORD, Role.OPERATOR)
    return made


def to_provider(client: FlaskClient, next_page: str = "/accounts") -> str:
    """Where the button leads."""
    begun = client.get("/login/sso", query_string={"next": next_page})
    assert begun.status_code == 303, begun.text
    return begun.headers["Location"]


def back(address: str) -> str:
    """Where the provider sends the browser back to."""
    answer = urllib3.request("GET", address, redirect=False)
    assert answer.status == 302, answer.data
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.path}?{parts.query}"


def sign_in(client: FlaskClient, next_page: str = "/accounts") -> TestResponse:
    return client.get(back(to_provider(client, next_page)))


def events(site: AdminSite) -> list[tuple[str, str, str]]:
    entries = reversed(site.log.page(LogFilter(), limit=200)[0])
    return [(entry.event, entry.target, entry.details) for entry in entries]


def marks(site: AdminSite) -> dict[str, tuple[bool, str | None]]:
    """Of everybody with an account: shut out, and why the provider's last answer was refused."""
    watching = "watching@example.com"
    listed = site.signed_in(watching).get("/api/admin/admins").get_json()["admins"]
    return {
        each["email"]: (each["refused"], (each["refusal"] or {}).get("reason"))
        for each in listed
        if each["email"] != watching
    }


def test_it_works(site: AdminSite, provider: Provider) -> None:
    client = site.client()
    address = to_provider(client)
    sent = parse_qs(urlsplit(address).query)
    assert address.startswith(f"{provider.url}/authorize?")
    assert sent["code_challenge_method"] == ["S256"]
    assert len(sent["state"][0]) >= 20
    assert len(sent["nonce"][0]) >= 20
    assert sent["redirect_uri"] == ["http://localhost/login/sso/callback"]
    done = client.get(back(address))
    assert (done.status_code, done.headers["Location"]) == (303, "/accounts")
    assert client.get("/api/admin/me").get_json()["email"] == EMAIL
    assert client.get("/api/admin/me").get_json()["role"] == "operator"
    assert events(site) == [("signed-in", "", "single sign-on")]
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert sign_in(site.client()).status_code == 303
    assert provider.asked.count("/.well-known/openid-configuration") == 1
    assert provider.asked.count("/keys") == 1


def test_a_sign_in_must_be_finished_within_15_minutes(site: AdminSite, clock: ManualClock) -> None:
    client = site.client()
    address = back(to_provider(client))
    clock.advance(901)
    answer = client.get(address)
    assert answer.status_code == 401
    assert "took too long" in answer.text
    assert client.get("/api/admin/me").status_code == 401
    address = back(to_provider(client))
    clock.advance(900)
    assert client.get(address).status_code == 303


def test_the_session_is_one_of_the_database(site: AdminSite, clock: ManualClock) -> None:
    client, other = site.client(), site.client()
    sign_in(client)
    sign_in(other)
    client.post("/logout")
    assert client.get("/api/admin/me").status_code == 401
    assert other.get("/api/admin/me").status_code == 200
    site.admins.sign_out_everywhere(site.admins.find(EMAIL).id)
    assert other.get("/api/admin/me").status_code == 401
    sign_in(client)
    clock.advance(12 * 3600)
    assert client.get("/api/admin/me").status_code == 401


def test_the_button_is_there_only_where_it_is_set_up(site: AdminSite, clock: ManualClock) -> None:
    assert site.client().get("/login").text == "||/|with single sign-on"
    without = AdminSite(clock)
    assert without.client().get("/login").text == "||/"
    for path in ("/login/sso", "/login/sso/callback?code=x&state=y"):
        assert without.client().get(path).status_code == 403


class TestWhatIsNotBelieved:
    @pytest.mark.parametrize(
        "changed",
        [
            {"iss": "https://elsewhere.example"}, {"iss": None},
            {"aud": "somebody-else"}, {"aud": None}, {"aud": ["somebody-else"]},
            {"aud": "somebody-else", "azp": CLIENT_ID}, {"azp": "somebody-else"},
            {"exp": 1_000_000_000}, {"exp": None}, {"exp": "soon"},
            {"nonce": "another"}, {"nonce": None},
            {"iat": 9_000_000_000}, {"nbf": 9_000_000_000}, {"at_hash": "another"},
            {"aud": [CLIENT_ID, "somebody-else"]},
            {"aud": [CLIENT_ID, "somebody-else"], "azp": "somebody-else"},
            {"aud": CLIENT_ID.upper()}, {"aud": [[CLIENT_ID]]}, {"aud": {CLIENT_ID: True}},
            {"exp": True}, {"nonce": ["another"]}, {"nonce": ""},
        ],
        ids=str,
    )  # fmt: skip
    def test_wrong_claims(
        self, site: AdminSite, provider: Provider, changed: dict[str, Any]
    ) -> None:
        provider.changed = changed
        self.refused(site)

    def test_a_signature_by_another_key(self, site: AdminSite, provider: Provider) -> None:
        provider.signed_by = KEYS[1]
        self.refused(site)

    def test_a_key_of_another_name(self, site: AdminSite, provider: Provider) -> None:
        provider.signed_by = RSAKey.import_key(KEYS[1].as_pem(private=True), {"kid": "first"})
        self.refused(site)

    @pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
    def test_a_forged_token(
        self, site: AdminSite, provider: Provider, forged: Callable[[str], str]
    ) -> None:
        provider.forged = forged
        self.refused(site)

    def test_the_token_of_another_sign_in(self, site: AdminSite, provider: Provider) -> None:
        """Its nonce is another browser's."""
        tokens: list[str] = []

        def first(right: str) -> str:
            tokens.append(right)
            return tokens[0]

        provider.forged = first
        assert sign_in(site.client()).status_code == 303
        client = site.client()
        assert sign_in(client).status_code == 401
        assert client.get("/api/admin/me").status_code == 401

    def test_a_signature_by_the_client_secret(self, site: AdminSite, provider: Provider) -> None:
        provider.algorithm = "HS256"
        provider.signed_by = OctKey.import_key(CLIENT_SECRET, {"kid": "first"})  # type: ignore[assignment]
        self.refused(site)

    def refused(self, site: AdminSite) -> None:
        client = site.client()
        answer = sign_in(client)
        assert answer.status_code == 401, answer.text
        assert "could not be verified" in answer.text
        assert client.get("/api/admin/me").status_code == 401
        assert events(site) == [("sign-in-failed", "", "single sign-on")]

    def test_another_browsers_state(self, site: AdminSite) -> None:
        address = back(to_provider(site.client()))
        answer = site.client().get(address)
        assert answer.status_code == 401
        assert "another browser" in answer.text

    def test_an_answer_is_used_once(self, site: AdminSite) -> None:
        client = site.client()
        address = back(to_provider(client))
        assert client.get(address).status_code == 303
        client.post("/logout")
        assert client.get(address).status_code == 401

    def test_a_code_of_another_sign_in(self, site: AdminSite) -> None:
        """As an attacker would inject it: PKCE binds it to the browser."""
        stolen = parse_qs(urlsplit(back(to_provider(site.client()))).query)["code"][0]
        client = site.client()
        state = parse_qs(urlsplit(to_provider(client)).query)["state"][0]
        query = {"code": stolen, "state": state}
        assert client.get("/login/sso/callback", query_string=query).status_code == 401

    def test_a_code_of_another_sign_in_where_the_provider_ignores_pkce(
        self, site: AdminSite, provider: Provider
    ) -> None:
        stolen = parse_qs(urlsplit(back(to_provider(site.client()))).query)["code"][0]
        client = site.client()
        begun = parse_qs(urlsplit(to_provider(client)).query)
        provider.codes[stolen].code_challenge = begun["code_challenge"][0]
        query = {"code": stolen, "state": begun["state"][0]}
        answer = client.get("/login/sso/callback", query_string=query)
        assert answer.status_code == 401
        assert "could not be verified" in answer.text
        assert stolen not in provider.codes, "it was redeemed, and its nonce is another one"

    def test_a_copied_cookie_does_not_use_an_answer_again(self, site: AdminSite) -> None:
        client, copy = site.client(), site.client()
        address = back(to_provider(client))
        cookie = client.get_cookie("dmstats")
        assert cookie is not None
        copy.set_cookie("dmstats", cookie.value)
        assert client.get(address).status_code == 303
        assert copy.get(address).status_code == 401
        assert copy.get("/api/admin/me").status_code == 401

    @pytest.mark.parametrize(
        ("named", "promised", "status"),
        [(None, False, 303), ("right", False, 303), ("right", True, 303), (None, True, 401),
         ("https://elsewhere.example", False, 401), ("right/", False, 401), ("", False, 401)],
    )  # fmt: skip
    def test_the_answer_of_another_issuer(
        self, site: AdminSite, provider: Provider, named: str | None, promised: bool, status: int
    ) -> None:
        """As in a mix-up of providers; RFC 9207."""
        provider.metadata = {"authorization_response_iss_parameter_supported": promised}
        client = site.client()
        address = back(to_provider(client))
        if named is not None:
            address += "&" + urlencode({"iss": named.replace("right", provider.url)})
        assert client.get(address).status_code == status

    @pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?code=x&state=x", "?error=odd"])
    def test_what_is_no_answer(self, site: AdminSite, query: str) -> None:
        assert site.client().get(f"/login/sso/callback{query}").status_code == 401

    def test_a_discovery_document_sets_nothing_but_the_end_points(
        self, site: AdminSite, provider: Provider
    ) -> None:
        keys = KeySet([KEYS[1]]).as_dict(private=False)
        provider.metadata = {"client_id": "x", "name": "x", "jwks": keys, "client_kwargs": {}}
        assert sign_in(site.client()).status_code == 303

    def test_a_discovery_document_of_somebody_else(
        self, site: AdminSite, provider: Provider
    ) -> None:
        provider.metadata = {"issuer": "https://elsewhere.example"}
        assert site.client().get("/login/sso").status_code == 503


class TestWhoIsLetIn:
    @pytest.mark.parametrize(
        "verified", [False, None, "false", 1, "yes", "True", " true", [True], {"email": True}, ""]
    )
    def test_only_verified_emails(
        self, site: AdminSite, provider: Provider, verified: object
    ) -> None:
        provider.changed = {"email_verified": verified}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "not verified your email" in answer.text

    @pytest.mark.parametrize("subject", ["", 5, None, ["person-1"], {}, True, "x" * 256])
    def test_who_has_no_subject(self, site: AdminSite, provider: Provider, subject: object) -> None:
        provider.changed = {"sub": subject}
        assert sign_in(client := site.client()).status_code in (401, 403)
        assert client.get("/api/admin/me").status_code == 401

    @pytest.mark.parametrize(
        "email",
        [
            None,
            "",
            "ada",
            5,
            ["ada@example.com"],
            {"a": EMAIL},
            True,
            f"{EMAIL},grace@example.com",
            f"Ada <{EMAIL}>",
            f"{EMAIL}\x00",
            f"mallory@evil.example\n{EMAIL}",
        ],
    )
    def test_who_has_no_email(self, site: AdminSite, provider: Provider, email: object) -> None:
        provider.changed = {"email": email}
        assert sign_in(site.client()).status_code == 403

    @pytest.mark.parametrize(
        "email",
        ["\uff41da@example.com", "ada@exªmple.com", "\u212bda@example.com", "adá@example.com"],
    )
    def test_an_email_that_only_looks_like_one(
        self, site: AdminSite, provider: Provider, email: str
    ) -> None:
        provider.person["email"] = email
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "contains non-ASCII characters" in answer.text

    def test_the_email_may_come_by_userinfo(self, site: AdminSite, provider: Provider) -> None:
        provider.userinfo = {"email": EMAIL, "email_verified": True}
        provider.changed = {"email": None, "email_verified": None}
        assert sign_in(site.client()).status_code == 303
        provider.userinfo["sub"] = "person-2"
        assert sign_in(site.client()).status_code == 401

    def test_an_email_is_verified_by_the_answer_that_contains_it(
        self, site: AdminSite, provider: Provider
    ) -> None:
        other = {"email": "mallory@example.com", "email_verified": True}
        provider.userinfo, provider.changed = other, {"email_verified": None}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "no account for mallory@example.com" in answer.text
        provider.userinfo = {"email_verified": True}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "not verified" in answer.text
        provider.userinfo = {"email": EMAIL, "email_verified": True}
        assert sign_in(site.client()).status_code == 303

    def test_a_role_by_userinfo_leaves_the_email_of_the_token(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock, oidc_unknown="created", **ROLES)
        more = {"email": "mallory@example.com", "email_verified": True}
        provider.userinfo = {**more, "realm_access": {"roles": ["staff"]}}
        client = site.client()
        assert sign_in(client).status_code == 303
        assert client.get("/api/admin/me").get_json()["email"] == EMAIL

    def test_unknown_people_are_refused(self, site: AdminSite, provider: Provider) -> None:
        provider.person = {**provider.person, "email": "grace@example.com"}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "no account for grace@example.com" in answer.text
        assert len(site.admins.list()) == 1

    def test_or_created(self, provider: Provider, clock: ManualClock) -> None:
        site = site_of(provider, clock, oidc_unknown="created", oidc_domains=("example.com",))
        client = site.client()
        assert sign_in(client).status_code == 303
        me = client.get("/api/admin/me").get_json()
        assert (me["email"], me["role"], me["invited"]) == (EMAIL, "viewer", False)
        assert (
            site.client().post("/login", json={"email": EMAIL, "password": ""}).status_code == 400
        )
        wrong = site.client().post("/login", json={"email": EMAIL, "password": "x"})
        assert wrong.status_code == 401
        assert [event for event, *_ in events(site)][:2] == ["person-added", "signed-in"]
        assert sign_in(client).status_code == 303
        assert len(site.admins.list()) == 1

    @pytest.mark.parametrize(
        ("email", "status"),
        [("ada@example.com", 303), ("ada@sub.example.com", 403), ("ada@notexample.com", 403),
         ("ada@example.com@evil.example", 403)],
    )  # fmt: skip
    def test_only_these_domains(
        self, provider: Provider, clock: ManualClock, email: str, status: int
    ) -> None:
        site = site_of(provider, clock, oidc_unknown="created", oidc_domains=("example.com",))
        provider.person = {**provider.person, "email": email}
        assert sign_in(site.client()).status_code == status

    def test_disabled_people_are_refused(self, site: AdminSite) -> None:
        sign_in(site.client())
        site.admins.create("other@example.com", PASSWORD)
        site.admins.set_disabled(site.admins.find(EMAIL).id, disabled=True)
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "disabled" in answer.text
        assert events(site)[-1] == ("sign-in-failed", EMAIL, "single sign-on")

    def test_who_cancels(self, site: AdminSite, provider: Provider) -> None:
        provider.denies = True
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "cancelled" in answer.text

    def test_an_invited_person_needs_no_password(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock)
        _, link = site.admins.invite(EMAIL, Role.ADMIN)
        client = site.client()
        assert sign_in(client).status_code == 303
        assert client.get("/api/admin/me").get_json()["invited"] is False
        assert site.admins.find(EMAIL).passwordless
        with pytest.raises(LinkOver):
            site.admins.redeem(link.token, PASSWORD)

    def test_the_link_of_a_person_with_a_password_stays(self, site: AdminSite) -> None:
        _, link = site.admins.make_link(site.admins.find(EMAIL).id)
        sign_in(site.client())
        assert site.admins.redeem(link.token, PASSWORD).passwordless is False


class TestIdentities:
    def test_another_email_at_the_provider_changes_nothing_here(
        self, site: AdminSite, provider: Provider
    ) -> None:
        sign_in(site.client())
        provider.person = {**provider.person, "email": "ada.lovelace@example.com"}
        client = site.client()
        assert sign_in(client).status_code == 303
        assert client.get("/api/admin/me").get_json()["email"] == EMAIL

    @pytest.mark.parametrize("subject", ["person-2", "PERSON-1", "person-1 ", "person", "*"])
    def test_an_email_reassigned_to_another_person_is_refused(
        self, site: AdminSite, provider: Provider, subject: str
    ) -> None:
        sign_in(site.client())
        provider.person = {**provider.person, "sub": subject}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "different identity" in answer.text
        site.admins.create("other@example.com", PASSWORD)
        ada = site.admins.find(EMAIL)
        site.admins.set_disabled(ada.id, disabled=True)
        site.admins.set_disabled(ada.id, disabled=False)
        assert sign_in(site.client()).status_code == 303


ROLES: dict[str, Any] = {
    "oidc_role_claim": "realm_access.roles",
    "oidc_roles": (("stats-admins", "admin"), ("stats-ops", "operator"), ("staff", "viewer")),
}


class TestRoles:
    @pytest.mark.parametrize(
        ("told", "role"),
        [(["staff"], "viewer"), (["x", "staff", "stats-ops"], "operator"),
         ("stats-admins", "admin"), (["staff", "stats-admins", 5, {}], "admin")],
    )  # fmt: skip
    def test_the_claim_gives_the_highest(
        self, provider: Provider, clock: ManualClock, told: object, role: str
    ) -> None:
        site = site_of(provider, clock, oidc_unknown="created", **ROLES)
        provider.person["realm_access"] = {"roles": told}
        client = site.client()
        assert sign_in(client).status_code == 303
        assert client.get("/api/admin/me").get_json()["role"] == role

    def test_another_role_holds_from_the_next_sign_in(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock, **ROLES)
        site.admins.create("other@example.com", PASSWORD)
        site.admins.create(EMAIL, PASSWORD, Role.ADMIN)
        provider.person["realm_access"] = {"roles": ["stats-admins"]}
        before, after = site.client(), site.client()
        sign_in(before)
        provider.person["realm_access"] = {"roles": ["staff"]}
        sign_in(after)
        assert after.get("/api/admin/me").get_json()["role"] == "viewer"
        assert before.get("/api/admin/me").status_code == 401, "its rights have ended"
        assert ("role-changed", EMAIL, "viewer, by single sign-on") in events(site)

    @pytest.mark.parametrize(
        "told",
        [
            [],
            ["another"],
            None,
            "",
            5,
            True,
            1.5,
            {"roles": ["staff"]},
            {"staff": True},
            ["Staff"],
            [["staff"]],
            [{"name": "staff"}],
            [None, 5, {}],
            "staff,stats-admins",
            "staff ",
            "staff stats-admins",
            "viewer",
            "admin",
            ["admin"],
        ],
    )
    def test_who_has_none_is_refused_and_the_sessions_end(
        self, provider: Provider, clock: ManualClock, told: object
    ) -> None:
        site = site_of(provider, clock, oidc_unknown="created", **ROLES)
        provider.person["realm_access"] = {"roles": ["staff"]}
        before = site.client()
        sign_in(before)
        provider.person["realm_access"] = {"roles": told}
        answer = sign_in(site.client())
        assert answer.status_code == 403
        assert "no role" in answer.text
        assert before.get("/api/admin/me").status_code == 401
        assert events(site)[-1] == ("sign-in-failed", EMAIL, "single sign-on")
        assert marks(site) == {EMAIL: (True, "no-role")}
        provider.person["realm_access"] = {"roles": ["staff"]}
        sign_in(site.client())
        assert marks(site) == {EMAIL: (False, None)}

    @pytest.mark.parametrize("odd", [None, 5, True, "staff", ["staff"], {}, {"role": "staff"}, []])
    def test_a_path_that_leads_nowhere_gives_none(
        self, provider: Provider, clock: ManualClock, odd: object
    ) -> None:
        site = site_of(provider, clock, oidc_unknown="created", **ROLES)
        provider.person["realm_access"] = odd
        assert sign_in(site.client()).status_code == 403
        assert site.admins.list() == []

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"email_verified": False}, "unverified-email"),
            ({"email": "ada@elsewhere.example"}, "foreign-domain"),
            ({"email": "no address"}, "unusable-email"),
            ({"email": "ada@ex\u00e4mple.com"}, "unusable-email"),
        ],
    )
    def test_other_refusals_are_noted_too_and_shut_nobody_out(
        self, provider: Provider, clock: ManualClock, claims: dict[str, object], reason: str
    ) -> None:
        site = site_of(provider, clock, oidc_domains=("example.com",))
        site.admins.create(EMAIL, PASSWORD)
        sign_in(site.client())
        before = dict(provider.person)
        provider.person.update(claims)
        assert sign_in(site.client()).status_code == 403
        provider.person.update(before)
        assert marks(site) == {EMAIL: (False, reason)}
        sign_in(site.client())
        assert marks(site) == {EMAIL: (False, None)}

    def test_who_has_none_comes_back_by_the_provider_alone(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        network = (ipaddress.ip_network("127.0.0.1"),)
        by_header = {"proxy_auth_header": "X-Email", "proxy_auth_from": network}
        site = site_of(provider, clock, **ROLES, **by_header)
        site.admins.create("other@example.com", PASSWORD)
        site.admins.create(EMAIL, PASSWORD, Role.ADMIN)
        provider.person["realm_access"] = {"roles": ["stats-admins"]}
        client = site.client()
        sign_in(client)
        key = added(client)
        half = site.client()
        half.post("/login", data={"email": EMAIL, "password": PASSWORD})
        assert half.get("/login/code").status_code == 200
        provider.person["realm_access"] = {"roles": []}
        assert sign_in(site.client()).status_code == 403
        password = {"email": EMAIL, "password": PASSWORD}
        for refused in (
            sign_in_by_passkey(site.client(), key),
            site.client().post("/login", json=password),
            site.client().get("/login", headers={"X-Email": EMAIL}),
        ):
            assert refused.status_code == 403
            assert "assigned no role" in refused.text
        assert half.get("/login/code").headers["Location"] == "/login"
        provider.person["realm_access"] = {"roles": ["staff"]}
        sign_in(again := site.client())
        assert sign_in_by_passkey(again, key).status_code == 200
        assert again.get("/api/admin/me").get_json()["role"] == "viewer"

    def test_or_after_an_admin_has_disabled_and_enabled_them(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock, **ROLES)
        site.admins.create("other@example.com", PASSWORD)
        ada = site.admins.create(EMAIL, PASSWORD).id
        provider.person["realm_access"] = {"roles": ["staff"]}
        sign_in(site.client())
        provider.person["realm_access"] = {"roles": []}
        sign_in(site.client())
        site.admins.change_password(ada, PASSWORD)
        assert site.admins.get(ada).refused, "a new password does not do"
        site.admins.set_disabled(ada, disabled=True)
        site.admins.set_disabled(ada, disabled=False)
        assert site.signed_in().get("/api/admin/me").status_code == 200

    def test_the_last_admin_keeps_the_password(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock, **ROLES)
        site.admins.create(EMAIL, PASSWORD, Role.ADMIN)
        provider.person["realm_access"] = {"roles": ["stats-admins"]}
        before = site.client()
        sign_in(before)
        provider.person["realm_access"] = {"roles": []}
        assert sign_in(site.client()).status_code == 403
        assert before.get("/api/admin/me").status_code == 401
        assert site.signed_in().get("/api/admin/me").get_json()["role"] == "admin"
        assert marks(site) == {EMAIL: (False, "no-role")}

    def test_the_last_admin_is_not_demoted(self, provider: Provider, clock: ManualClock) -> None:
        site = site_of(provider, clock, **ROLES)
        site.admins.create(EMAIL, PASSWORD, Role.ADMIN)
        provider.person["realm_access"] = {"roles": ["staff"]}
        answer = sign_in(site.client())
        assert answer.status_code == 409
        assert "last admin" in answer.text

    def test_a_claim_may_have_a_dot_in_its_name(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        name = "https://example.com/roles"
        site = site_of(
            provider, clock, oidc_unknown="created", **{**ROLES, "oidc_role_claim": name}
        )
        provider.person[name] = "staff"
        assert sign_in(site.client()).status_code == 303


class TestSecondFactors:
    def test_ones_own_is_asked(self, site: AdminSite, clock: ManualClock) -> None:
        app, _ = set_up(site.signed_in(), clock)
        client = site.client()
        asked = sign_in(client)
        assert asked.headers["Location"] == "/login/code?next=%2Faccounts"
        assert client.get("/api/admin/me").status_code == 401
        assert client.post("/login/code", data={"code": app.code()}).status_code == 303
        assert client.get("/api/admin/me").status_code == 200
        assert events(site)[-1] == ("signed-in", "", "single sign-on")

    def test_or_the_providers_counts(self, provider: Provider, clock: ManualClock) -> None:
        site = site_of(provider, clock, sso_second_factor="provider", second_factor="required")
        set_up(site.signed_in(), clock)
        site.admins.create("other@example.com", PASSWORD)
        client = site.client()
        assert sign_in(client).headers["Location"] == "/accounts"
        assert client.get("/accounts").status_code == 200
        provider.person = {"sub": "2", "email": "other@example.com", "email_verified": True}
        assert sign_in(client).status_code == 303
        assert client.get("/api/admin/stats").status_code == 200
        assert site.signed_in("other@example.com").get("/api/admin/stats").status_code == 403

    def test_where_one_is_required_it_is_set_up_first(
        self, provider: Provider, clock: ManualClock
    ) -> None:
        site = site_of(provider, clock, second_factor="required", oidc_unknown="created",
                       oidc_domains=("example.com",))  # fmt: skip
        provider.person["auth_time"] = clock.now_ms() // 1000
        client = site.client()
        sign_in(client)
        assert client.get("/accounts").headers["Location"] == "/me"
        # Without a password, a recent sign-in has to do.
        set_up(client, clock)
        assert client.get("/accounts").status_code == 200
        clock.advance(600)
        late = client.post("/api/admin/me/second-factor/remove", json={"currentPassword": "x"})
        assert late.status_code == 403
        assert "Sign out and in again" in late.get_json()["detail"]


class TestARecentSignIn:
    @pytest.fixture
    def client(self, provider: Provider, clock: ManualClock) -> FlaskClient:
        """Of a person without a password."""
        domains = {"oidc_unknown": "created", "oidc_domains": ("example.com",)}
        client = site_of(provider, clock, **domains).client()
        assert sign_in(client).status_code == 303
        return client

    @staticmethod
    def change(client: FlaskClient) -> int:
        sent = {"currentPassword": "x", "password": "a quite new password"}
        return client.post("/api/admin/me/password", json=sent).status_code

    def test_is_one_for_which_the_provider_asked(
        self, client: FlaskClient, provider: Provider, clock: ManualClock
    ) -> None:
        provider.person["auth_time"] = clock.now_ms() // 1000 - 3600
        address = to_provider(client)
        assert "max_age" not in address
        client.get(back(address))
        assert self.change(client) == 403, "the provider has not asked"
        client.post("/logout")
        sent = parse_qs(urlsplit(address := to_provider(client)).query)
        assert (sent["prompt"], sent["max_age"]) == (["login"], ["0"])
        provider.person["auth_time"] = clock.now_ms() // 1000
        assert client.get(back(address)).status_code == 303
        assert "max_age" not in to_provider(client)
        clock.advance(599)
        assert self.change(client) == 200

    @pytest.mark.parametrize("told", [None, 0, -1, True, "now", [1], 3600, 86400])
    def test_needs_a_time_that_can_be_true(
        self, client: FlaskClient, provider: Provider, clock: ManualClock, told: Any
    ) -> None:
        ahead = isinstance(told, int) and told > 1
        provider.changed["auth_time"] = told + clock.now_ms() // 1000 if ahead else told
        sign_in(client)
        assert self.change(client) == 403

    def test_is_not_taken_from_userinfo(
        self, client: FlaskClient, provider: Provider, clock: ManualClock
    ) -> None:
        provider.userinfo = {**provider.person, "auth_time": clock.now_ms() // 1000}
        provider.changed = {"email": None}
        assert sign_in(client).status_code == 303
        assert self.change(client) == 403

    def test_with_a_code_afterwards_counts_from_the_provider(
        self, client: FlaskClient, provider: Provider, clock: ManualClock
    ) -> None:
        provider.person["auth_time"] = clock.now_ms() // 1000
        sign_in(client)
        app, _ = set_up(client, clock)
        clock.advance(300)
        sign_in(client)
        assert client.post("/login/code", data={"code": app.code()}).status_code == 303
        clock.advance(240)
        assert (
            client.post(
                "/api/admin/me/second-factor/remove", json={"currentPassword": ""}
            ).status_code
            == 204
        )
        provider.person["auth_time"] = clock.now_ms() // 1000 - 601
        sign_in(client)
        assert self.change(client) == 403


class TestAProviderThatIsAway:
    def test_blocks_no_password_and_is_asked_again(
        self, site: AdminSite, provider: Provider, clock: ManualClock
    ) -> None:
        provider.status = 500
        answer = site.client().get("/login/sso")
        assert answer.status_code == 503
        assert "use your password" in answer.text
        assert answer.headers["Retry-After"] == "5"
        asked = len(provider.asked)
        assert site.client().get("/login/sso").status_code == 503
        assert len(provider.asked) == asked, "it is given a rest"
        assert site.signed_in().get("/api/admin/me").status_code == 200
        provider.status = 200
        clock.advance(5)
        assert sign_in(site.client()).status_code == 303

    def test_in_the_middle(self, site: AdminSite, provider: Provider) -> None:
        client = site.client()
        address = back(to_provider(client))
        provider.status = 503
        assert client.get(address).status_code == 503

    def test_nothing_listens(self, provider: Provider, clock: ManualClock) -> None:
        site = site_of(provider, clock, oidc_issuer="http://127.0.0.1:1")
        assert site.client().get("/login/sso").status_code == 503

    @pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
    def test_it_is_not_waited_for_long(
        self, site: AdminSite, provider: Provider, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (oidc, oidc_discovery):
            monkeypatch.setattr(module, "SECONDS", 0.3)
        provider.hangs_at = path
        client = site.client()
        try:
            answer = client.get("/login/sso")
            if answer.status_code == 303:
                answer = client.get(back(answer.headers["Location"]))
        finally:
            provider.goes_on.set()
        assert answer.status_code == 503
        assert "not possible right now" in answer.text

    def test_new_keys_are_found(self, site: AdminSite, provider: Provider) -> None:
        sign_in(site.client())
        provider.signed_by, provider.published = KEYS[1], [KEYS[1]]
        assert sign_in(site.client()).status_code == 303

    def test_the_document_is_read_again_after_an_hour(
        self, site: AdminSite, provider: Provider, clock: ManualClock
    ) -> None:
        sign_in(site.client())
        clock.advance(3600)
        sign_in(site.client())
        assert provider.asked.count("/.well-known/openid-configuration") == 2


def test_a_certificate_of_ones_own_authority(
    clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That this machine trusts, and the library's own list does not have."""
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with provider_module.provider(tls) as secure:
        refusing = site_of(secure, clock)
        assert refusing.client().get("/login/sso").status_code == 503
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        site = site_of(secure, clock, oidc_unknown="created", oidc_domains=("example.com",))
        client = site.client()
        address = to_provider(client)
        browser = urllib3.PoolManager(ca_certs=str(tmp_path / "authority.pem"))
        sent_back = browser.request("GET", address, redirect=False).headers["Location"]
        assert client.get(sent_back).status_code == 303


def test_attempts_are_limited(site: AdminSite) -> None:
    client = site.client()
    statuses = [client.get("/login/sso/callback?code=x&state=y").status_code for _ in range(31)]
    assert statuses == [401] * 30 + [429]


def test_below_a_path_behind_a_proxy(provider: Provider, clock: ManualClock) -> None:
    site = site_of(provider, clock, public_url="https://example.com/stats")
    sent = parse_qs(urlsplit(to_provider(site.client())).query)
    assert sent["redirect_uri"] == ["https://example.com/stats/login/sso/callback"]
    site = site_of(provider, clock)
    at = {"base_url": "https://stats.example.com/below"}
    begun = site.client().get("/login/sso", **at)
    sent = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert sent["redirect_uri"] == ["https://stats.example.com/below/login/sso/callback"]


def test_going_back_to_the_callback_leads_into_the_session(site: AdminSite) -> None:
    client = site.client()
    address = back(to_provider(client))
    assert client.get(address).status_code == 303
    again = client.get(address)
    assert (again.status_code, again.headers["Location"]) == (303, "/")
    assert client.get("/api/admin/me").status_code == 200
    assert site.client().get(address).status_code == 401


def test_it_leads_nowhere_else(site: AdminSite) -> None:
    assert sign_in(site.client(), "//elsewhere.example").headers["Location"] == "/"


def test_the_cookie_stays_small(site: AdminSite) -> None:
    client = site.client()
    for _ in range(20):
        to_provider(client)
    cookie = client.get_cookie("dmstats")
    assert cookie is not None
    assert len(cookie.value) < 2000


def test_no_secret_reaches_the_log(
    site: AdminSite, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client = site.client()
    address = back(to_provider(client))
    code = parse_qs(urlsplit(address).query)["code"][0]
    provider.changed = {"nonce": "another"}
    client.get(address)
    assert code not in caplog.text
    assert CLIENT_SECRET not in caplog.text
