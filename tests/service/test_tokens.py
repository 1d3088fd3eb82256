"""API tokens: made once, scoped, noted, ended."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.admins.roles import Role
from dmstats.db.admins.scopes import SCOPE_WORDS, Scope
from dmstats.db.admins.token_store import TEXT, token_key
from dmstats.web.auth.access import enforce
from dmstats.web.auth.authenticator import stream_session
from tests.service.admin_site import EMAIL, TOKEN, AdminSite, bearer

URL = "/api/admin/tokens"
STATS = "/api/admin/stats"
DAY = 24 * 3600


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


def make(client: FlaskClient, *scopes: Scope, name: str = "nightly", days: int = 30) -> Any:
    answer = client.post(URL, json={"name": name, "scopes": scopes, "days": days})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def status(site: AdminSite, path: str, secret: str, method: str = "GET", **options: Any) -> int:
    answer = site.client().open(path, method=method, headers=bearer(secret), **options)
    return answer.status_code


def test_it_works(site: AdminSite) -> None:
    client = site.signed_in()
    made = make(client, Scope.FIGURES, Scope.REFRESH)
    secret = made["secret"]
    assert TEXT.fullmatch(secret)
    assert status(site, STATS, secret) == 200
    assert status(site, f"{STATS}/refresh", secret, "POST") == 202
    assert status(site, "/api/admin/accounts", secret) == 403
    assert status(site, URL, secret) == 403
    (listed,) = client.get(URL).get_json()["tokens"]
    assert {**listed, "usedAt": None, "usedFrom": None} == made["token"]
    assert made["token"] == {
        "id": made["token"]["id"],
        "name": "nightly",
        "scopes": ["read-figures", "refresh"],
        "madeBy": EMAIL,
        "createdAt": "2026-11-15T12:34:56.000Z",
        "endsAt": "2026-12-15T12:34:56.000Z",
        "usedAt": None,
        "usedFrom": None,
    }
    assert client.post(f"{URL}/{listed['id']}/revoke").status_code == 200
    assert status(site, STATS, secret) == 401
    assert client.get(URL).get_json()["tokens"] == []
    assert client.post(f"{URL}/{listed['id']}/revoke").status_code == 404


def test_only_a_digest_is_stored_and_the_secret_is_never_shown(site: AdminSite) -> None:
    client = site.signed_in()
    secret = make(client, Scope.FIGURES)["secret"]
    hidden = secret[len("dmstats_") + 25 :]
    told = str(
        [list(site.mongo.db[name].find({})) for name in site.mongo.db.list_collection_names()]
    )
    assert hidden not in told + client.get(URL).text
    assert "nightly" in told


def test_it_expires(site: AdminSite, clock: ManualClock) -> None:
    secret = make(site.signed_in(), Scope.FIGURES, days=1)["secret"]
    clock.advance(DAY - 1)
    assert status(site, STATS, secret) == 200
    clock.advance(1)
    assert status(site, STATS, secret) == 401
    (token,) = site.tokens.list()
    assert token.name == "nightly", "still listed, so that one sees why the script fails"


def test_its_use_is_noted_at_most_once_a_minute(
    site: AdminSite, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = make(site.signed_in(), Scope.FIGURES)["secret"]
    writes = []
    collection = site.tokens._tokens
    update = collection.update_one

    def counted(*given: Any) -> Any:
        writes.append(given)
        return update(*given)

    monkeypatch.setattr(collection, "update_one", counted)
    started = site.clock.now_ms()
    for _ in range(10):
        status(site, STATS, secret)
        clock.advance(5.9)
    assert len(writes) == 1
    (token,) = site.tokens.list()
    assert (token.used_ms, token.used_from) == (started, "127.0.0.1")
    clock.advance(1.1)
    status(site, STATS, secret, environ_base={"REMOTE_ADDR": "203.0.113.9"})
    (token,) = site.tokens.list()
    assert (token.used_ms, token.used_from) == (started + 60_100, "203.0.113.9")


def test_who_makes_them(site: AdminSite) -> None:
    site.signed_in()
    wanted = {"name": "x", "scopes": ["refresh"], "days": 1}
    operator = site.signed_in("grace@example.com", Role.OPERATOR)
    assert operator.post(URL, json=wanted).status_code == 403
    assert site.client().post(URL, json=wanted).status_code == 401
    assert site.client().post(URL, json=wanted, headers=bearer(TOKEN)).status_code == 403
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert site.signed_in().post(URL, json=wanted, headers=foreign).status_code == 403
    assert site.tokens.list() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""}, {"name": " "}, {"name": "x" * 61}, {"name": "a\nb"}, {"name": 5},
        {"scopes": []}, {"scopes": ["everything"]}, {"scopes": "refresh"}, {"scopes": [{}]},
        {"days": 0}, {"days": 3661}, {"days": None}, {"digest": "x"},
    ],
)  # fmt: skip
def test_what_is_refused(site: AdminSite, wrong: dict[str, object]) -> None:
    wanted = {"name": "x", "scopes": ["refresh"], "days": 1, **wrong}
    assert site.signed_in().post(URL, json=wanted).status_code == 400
    assert site.tokens.list() == []


@pytest.mark.parametrize("spoil", [str.upper, lambda s: s[:-1], lambda s: s + "x", lambda s: s[1:]])
def test_a_wrong_one_is_refused(site: AdminSite, spoil: Any) -> None:
    secret = make(site.signed_in(), Scope.FIGURES)["secret"]
    assert status(site, STATS, spoil(secret)) == 401


def test_another_tokens_secret_does_not_fit(site: AdminSite) -> None:
    client = site.signed_in()
    one, two = (make(client, scope)["secret"] for scope in (Scope.FIGURES, Scope.ACCOUNTS))
    mixed = one[: len("dmstats_") + 24] + two[len("dmstats_") + 24 :]
    assert status(site, STATS, mixed) == 401


def test_one_of_ours_decides_alone_even_when_it_has_ended(site: AdminSite) -> None:
    client = site.signed_in()
    made = make(client, Scope.FIGURES)
    client.post(f"{URL}/{made['token']['id']}/revoke")
    assert client.get(STATS, headers=bearer(made["secret"])).status_code == 401
    assert client.get(STATS, headers=bearer("of.an.identity-proxy")).status_code == 200


def test_a_text_that_is_not_a_token_needs_no_query() -> None:
    for text in ("", "x", "eyJhbGciOi.J9.x", "dmstats_", "dmstats_" + "a" * 68, TOKEN):
        assert token_key(text) is None


def test_its_streams_end_with_it(site: AdminSite, clock: ManualClock) -> None:
    authenticator = site.app.extensions["dmstats"].authenticator
    client = site.signed_in()
    made, other = make(client, Scope.FIGURES), make(client, Scope.FIGURES, days=1)

    def stream_of(secret: str) -> str:
        with site.app.test_request_context(STATS, headers=bearer(secret)):
            assert enforce() is None
            return stream_session()

    one, two = stream_of(made["secret"]), stream_of(other["secret"])
    assert authenticator.ended({one, two}) == set()
    client.post(f"{URL}/{made['token']['id']}/revoke")
    assert authenticator.ended({one, two}) == {one}
    clock.advance(DAY)
    assert authenticator.ended({two}) == {two}


class TestWhileTheDatabaseIsAway:
    def test_a_known_one_can_still_read(
        self, site: AdminSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = site.signed_in()
        secret = make(client, Scope.FIGURES, Scope.REFRESH)["secret"]
        unknown = make(client, Scope.FIGURES)["secret"]
        assert status(site, STATS, secret) == 200

        def away(key: str) -> None:
            raise StoreUnavailable("away")

        grace = site.app.extensions["dmstats"].authenticator._token_grace
        monkeypatch.setattr(grace, "_ask_store", away)
        assert status(site, STATS, secret) == 200
        assert status(site, f"{STATS}/refresh", secret, "POST") == 503
        assert status(site, STATS, unknown) == 503
        assert status(site, STATS, TOKEN) == 200

    def test_without_mongodb_a_revoked_one_holds_no_more(
        self, site: AdminSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = site.signed_in()
        made = make(client, Scope.FIGURES)
        assert status(site, STATS, made["secret"]) == 200
        client.post(f"{URL}/{made['token']['id']}/revoke")

        def away(key: str) -> None:
            raise StoreUnavailable("away")

        grace = site.app.extensions["dmstats"].authenticator._token_grace
        monkeypatch.setattr(grace, "_ask_store", away)
        assert status(site, STATS, made["secret"]) == 503

    def test_its_use_may_go_unnoted(self, site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = make(site.signed_in(), Scope.FIGURES)["secret"]

        def away(*_: object) -> None:
            raise StoreUnavailable("away")

        monkeypatch.setattr(site.tokens, "note_use", away)
        assert status(site, STATS, secret) == 200


def test_it_is_in_the_activity_log(site: AdminSite) -> None:
    client = site.signed_in()
    made = make(client, Scope.FIGURES, Scope.METRICS)
    client.post(f"{URL}/{made['token']['id']}/revoke")
    found = site.mongo.db["dmstats_activity_log"].find({"target": "nightly"}).sort("_id", 1)
    assert [(each["event"], each["actor"], each["details"]) for each in found] == [
        ("token-made", EMAIL, "read-figures, metrics"),
        ("token-revoked", EMAIL, ""),
    ]


def test_odd_documents_hide_no_other(site: AdminSite) -> None:
    client = site.signed_in()
    made = make(client, Scope.FIGURES)
    site.mongo.db["dmstats_api_tokens"].insert_many(
        [{"_id": 1}, {"name": "x"}, {"name": 5, "endsAt": "x"}, {"scopes": {}}]
    )
    assert client.get(URL).get_json()["tokens"] == [made["token"]]
    assert status(site, STATS, made["secret"]) == 200


def test_every_scope_has_words() -> None:
    assert set(SCOPE_WORDS) == set(Scope)
