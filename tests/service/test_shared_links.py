"""Shared links: made by an admin, read by who has one, ended."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import NotFound, StoreUnavailable
from dmstats.db.admins.roles import Role
from dmstats.db.admins.shared_links import PART_WORDS, TEXT, Part, link_key
from dmstats.snapshot.body import SnapshotBody
from dmstats.snapshot.shared import ALWAYS, FIELDS, shared_fields, shared_figures
from dmstats.web.auth.access import ACCESS
from dmstats.web.auth.credentials import LINK_KEY
from dmstats.web.middleware.request_log import loggable
from tests.service.admin_site import EMAIL, TOKEN, AdminSite, bearer

URL = "/api/admin/links"
DAY = 24 * 3600
FIGURES: dict[str, Any] = {
    "totalDMsSent": 7, "totalUsers": 3, "topAccounts": [{"instagramId": "1784", "dmUsed": 5}],
    "stale": False, "events": {"seen": 1}, "refresh": {"computeMs": 1.0}, "ofALaterRelease": 1,
}  # fmt: skip


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    site = AdminSite(clock)
    site.stats.figures = FIGURES
    return site


SECRET_LENGTH = len(secrets.token_urlsafe(32))


def make(site: AdminSite, *parts: Part, days: int = 30, label: str = "Hall") -> tuple[str, str]:
    """A link's path and id."""
    asked = {"label": label, "parts": parts or [Part.MESSAGES], "days": days}
    answer = site.signed_in().post(URL, json=asked)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.get_json()
    return urlsplit(made["address"]).path, made["link"]["id"]


def test_it_works(site: AdminSite) -> None:
    path, _ = make(site, Part.MESSAGES, Part.PEOPLE)
    assert TEXT.fullmatch(path.removeprefix("/shared/"))
    client = site.client()
    page = client.get(path)
    assert page.status_code == 200
    assert page.text.startswith("Hall|messages people|False|")
    figures = client.get(f"{path}/stats")
    assert figures.get_json() == {
        "version": "1-7", "totalDMsSent": 7, "totalUsers": 3, "stale": False,
    }  # fmt: skip
    tag = figures.headers["ETag"]
    assert client.get(f"{path}/stats", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"{path}?wall").text.startswith("Hall|messages people|True|")
    below = client.get(path, environ_overrides={"SCRIPT_NAME": "/prefix"}).text
    # The page puts the prefix before them.
    assert below.endswith(f"|{path}/stats|{path}/stream")
    for answer in (page, figures):
        assert "Set-Cookie" not in answer.headers
        assert answer.headers.getlist("Referrer-Policy") == ["no-referrer"]
        assert "noindex" in answer.headers["X-Robots-Tag"]
        assert "1784" not in answer.text
        assert "private" in (cached := answer.headers["Cache-Control"]) or cached == "no-store"


def test_a_listed_link_has_no_secret(site: AdminSite) -> None:
    path, link_id = make(site, Part.ACCOUNTS)
    answer = site.signed_in().get(URL)
    assert answer.get_json()["links"] == [{
        "id": link_id, "label": "Hall", "parts": ["accounts"], "madeBy": EMAIL,
        "createdAt": "2026-11-15T12:34:56.000Z", "endsAt": "2026-12-15T12:34:56.000Z",
    }]  # fmt: skip
    secret = path[-SECRET_LENGTH:]  # it may contain a hyphen itself
    assert secret not in repr(list(site.mongo.db["dmstats_shared_links"].find()))
    assert secret not in repr(list(site.mongo.db["dmstats_activity_log"].find()))


def test_revoking_ends_it_at_once(site: AdminSite) -> None:
    path, link_id = make(site)
    before = site.sessions.last_ending()
    assert site.signed_in().post(f"{URL}/{link_id}/revoke").status_code == 200
    assert site.client().get(path).status_code == 404
    assert site.client().get(f"{path}/stats").status_code == 404
    assert site.client().get(f"{path}/stream").status_code == 404
    assert site.sessions.last_ending() != before, "so that streams are looked at"
    ended = site.app.extensions["dmstats"].authenticator.ended({LINK_KEY + link_id})
    assert ended == {LINK_KEY + link_id}
    assert site.signed_in().post(f"{URL}/{link_id}/revoke").status_code == 404
    events = [each["event"] for each in site.mongo.db["dmstats_activity_log"].find()]
    assert [each for each in events if each.startswith("shared")] == [
        "shared-link-made", "shared-link-revoked",
    ]  # fmt: skip


def test_it_expires(site: AdminSite, clock: ManualClock) -> None:
    path, link_id = make(site, days=1)
    standing = site.app.extensions["dmstats"].authenticator.ended
    assert standing({LINK_KEY + link_id}) == set()
    clock.advance(DAY - 1)
    assert site.client().get(path).status_code == 200
    clock.advance(1)
    assert site.client().get(path).status_code == 404
    assert standing({LINK_KEY + link_id}) == {LINK_KEY + link_id}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: "0" * 24 + text[24:],
        lambda text: text[:-1], lambda text: text + "A", lambda text: "x",
        lambda text: text.upper(),
    ],
)  # fmt: skip
def test_another_secret(site: AdminSite, change: Any) -> None:
    path, _ = make(site)
    wrong = "/shared/" + change(path.removeprefix("/shared/"))
    answer = site.client().get(wrong)
    assert answer.status_code == 404
    assert answer.text == "No such link|This link does not exist or has expired."
    assert answer.headers.getlist("Referrer-Policy") == ["no-referrer"]
    problem = site.client().get(f"{wrong}/stats")
    assert (problem.status_code, problem.mimetype) == (404, "application/problem+json")


def test_it_opens_nothing_else(site: AdminSite) -> None:
    path, _ = make(site, *Part)
    secret = path.removeprefix("/shared/")
    for operation in (each for each in ACCESS if not ACCESS[each].is_open):
        method, _, rule = operation.partition(" ")
        asked = re.sub(r"<[^>]+>", "17841400000000001", rule)
        for how in (bearer(secret), {"Cookie": f"dmstats={secret}"}, {"X-Shared-Link": secret}):
            far_away = {"REMOTE_ADDR": "203.0.113.7"}
            answer = site.client().open(
                asked, method=method, headers=how, environ_overrides=far_away
            )
            assert answer.status_code in (302, 401, 404), operation
            assert answer.status_code != 404 or asked not in known(site), operation


def known(site: AdminSite) -> set[str]:
    return {
        re.sub(r"<[^>]+>", "17841400000000001", rule.rule) for rule in site.app.url_map.iter_rules()
    }


def test_only_admins_make_them(site: AdminSite) -> None:
    asked = {"label": "Hall", "parts": ["messages"], "days": 1}
    for role in (Role.VIEWER, Role.OPERATOR):
        client = site.signed_in(f"{role}@example.com", role)
        assert client.post(URL, json=asked).status_code == 403
        assert client.get(URL).status_code == 403
    assert site.client().post(URL, json=asked, headers=bearer(TOKEN)).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": " "}, {"label": "x" * 61}, {"parts": []}, {"parts": ["everything"]},
        {"days": 0}, {"days": 4000}, {"more": 1}, {"parts": None},
    ],
)  # fmt: skip
def test_what_is_refused(site: AdminSite, wrong: dict[str, Any]) -> None:
    asked = {"label": "Hall", "parts": ["messages"], "days": 1} | wrong
    assert site.signed_in().post(URL, json=asked).status_code == 400


def test_without_mongodb_it_works_for_a_while(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = make(site)
    other, _ = make(site)
    assert site.client().get(path).status_code == 200

    def away(_: str) -> None:
        raise StoreUnavailable

    access = site.app.extensions["dmstats"].shared_access
    monkeypatch.setattr(access._grace, "_ask_store", away)
    assert site.client().get(path).status_code == 200
    assert site.client().get(other).status_code == 503


def test_without_mongodb_a_revoked_one_does_not_go_on(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path, link_id), (other, _) = make(site), make(site)
    for each in (path, other):
        assert site.client().get(each).status_code == 200
    assert site.signed_in().post(f"{URL}/{link_id}/revoke").status_code == 200

    def away(_: str) -> None:
        raise StoreUnavailable

    access = site.app.extensions["dmstats"].shared_access
    monkeypatch.setattr(access._grace, "_ask_store", away)
    assert site.client().get(path).status_code == 503
    assert site.client().get(other).status_code == 200


def test_odd_documents_are_passed_over(site: AdminSite) -> None:
    path, link_id = make(site)
    links = site.mongo.db["dmstats_shared_links"]
    links.insert_many([{"_id": 1}, {"label": "x"}, {"label": 5, "endsAt": 5, "parts": 5}])
    assert [each["id"] for each in site.signed_in().get(URL).get_json()["links"]] == [link_id]
    links.update_one({"label": "Hall"}, {"$set": {"parts": ["messages", "of-a-later-release", 5]}})
    assert site.client().get(path).text.startswith("Hall|messages|")
    links.update_one({"label": "Hall"}, {"$set": {"parts": 5}})
    assert set(site.client().get(f"{path}/stats").get_json()) == {"version", "stale"}


class TestParts:
    def test_every_field_of_a_snapshot_is_in_one_part_or_in_none_on_purpose(self) -> None:
        fields = {field.encode_name for field in msgspec.structs.fields(SnapshotBody)}
        named = [name for names in (ALWAYS, *FIELDS.values()) for name in names]
        assert len(named) == len(set(named))
        assert fields - set(named) == {"refresh", "accountStates"}
        assert set(named) - fields == {"version", "ageSeconds", "stale", "source"}
        assert set(FIELDS) == set(PART_WORDS) == set(Part)

    def test_without_the_part_no_account_is_shown(self, site: AdminSite) -> None:
        others = [part.value for part in Part if part is not Part.ACCOUNTS]
        assert "topAccounts" not in shared_fields(FIGURES, others)
        assert shared_fields(FIGURES, []) == {"stale": False}
        shown = shared_figures(site.stats.current(), ["accounts"])
        assert msgspec.json.decode(shown.body)["topAccounts"][0]["instagramId"] == "1784"
        assert (shown.version, shown.order) == ("1-7", (1, 7))


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/shared/abc-def", "/shared/..."),
        ("/shared/abc-def/stats", "/shared/.../stats"),
        ("//shared//abc-def/stream", "//shared//.../stream"),
        ("/Shared/abc", "/Shared/..."),
        ("/prefix/shared/abc", "/prefix/shared/..."),
        ("/shared/", "/shared/"),
        ("/accounts/5", "/accounts/5"),
        ("/" + "x" * 300, "/" + "x" * 199),
    ],
)
def test_the_secret_is_not_logged(path: str, logged: str) -> None:
    assert loggable(path) == logged


def test_nor_where_a_request_fails(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, _ = make(site)

    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(site.stats, "current", fail)
    with caplog.at_level(logging.DEBUG):
        assert site.client().get(f"{path}/stats").status_code == 500
    secret = path.removeprefix("/shared/")
    assert caplog.records
    assert not any(secret in str(vars(record).get("path", "")) for record in caplog.records)


def test_what_is_no_link_is_not_looked_up(site: AdminSite) -> None:
    assert link_key("x") is None
    with pytest.raises(NotFound):
        site.app.extensions["dmstats"].shared_access.find("x")
