"""Every route that the application has wants an admin, but those that the contract names open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from dmstats.app import create_app
from dmstats.core.settings import Settings

OPEN = {
    "/login": "how one gets in",
    "/login/code": "the second step of getting in",
    "/login/passkey/options": "gives a challenge",
    "/login/passkey": "believes what a passkey has signed",
    "/login/sso": "leads to the provider",
    "/login/sso/callback": "believes what the provider has signed",
    "/logout": "ends what may not even be there",
    "/password": "has its own secret: a link",
    "/api/meta/data-deletion": "Meta signs its requests",
    "/api/meta/deauthorize": "Meta signs its requests",
    "/data-deletion/<code>": "has its own secret: a code",
    "/shared/<link>": "has its own secret: a link",
    "/shared/<link>/stats": "has its own secret: a link",
    "/shared/<link>/stream": "has its own secret: a link",
    "/healthz": "says nothing but ok",
    "/readyz": "says only what fails",
    "/metrics": "has its own rule: loopback or bearer",
    "/static/<path:path>": "what the sign-in page is made of",
    "/api/webhooks/instagram": "Meta signs its deliveries",
    "/api/cron/refresh-admin-stats": "has its own bearer secret",
}
SAMPLE = "17841400000000001"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return application(tmp_path_factory.mktemp("var"))


def application(folder: Path) -> Flask:
    # No database listens there: a route that queries it before it checks the session fails.
    return create_app(
        Settings(
            mongodb_uri="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50",
            redis_url="redis://127.0.0.1:1/0",
            data_dir=folder,
            meta_app_secrets=("app-secret-of-the-test",),
            meta_verify_token="verify-token-of-the-test",
            cron_secret="cron-secret-of-the-test",
            secret_key="secret-key-of-the-test",
            admin_api_token="api-token-of-the-test",
        )
    )


def guarded(app: Flask) -> Iterator[tuple[Rule, str]]:
    for rule in app.url_map.iter_rules():
        if rule.rule not in OPEN:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield rule, method


def path_of(rule: Rule) -> str:
    return re.sub(r"<[^>]+>", SAMPLE, rule.rule)


def test_it_works(app: Flask) -> None:
    rules = {rule.rule for rule, _ in guarded(app)}
    assert {"/", "/api/admin/stats", "/api/admin/stats/stream", "/api/admin/admins"} <= rules


def test_every_other_route_wants_an_admin(app: Flask) -> None:
    client = app.test_client()
    for rule, method in guarded(app):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "dmstats=e30.a.b"}):
            answer = client.open(path_of(rule), method=method, headers=headers)
            shown = f"{method} {rule.rule} answered {answer.status_code}"
            if rule.rule.startswith("/api/"):
                assert answer.status_code == 401, shown
                assert answer.mimetype == "application/problem+json", shown
                assert answer.headers["WWW-Authenticate"], shown
            else:
                assert answer.status_code == 302, shown
                assert answer.headers["Location"].startswith("/login"), shown


def test_the_cron_route_wants_its_secret(app: Flask) -> None:
    client = app.test_client()
    for headers in ({}, {"Authorization": "Bearer api-token-of-the-test"}):
        for method in ("GET", "POST"):
            answer = client.open("/api/cron/refresh-admin-stats", method=method, headers=headers)
            assert answer.status_code == 401


def test_nothing_is_open_that_does_not_exist(app: Flask) -> None:
    # The webhook may be answered in front of Flask: then the map does not know it.
    existing = {rule.rule for rule in app.url_map.iter_rules()} | {"/api/webhooks/instagram"}
    assert set(OPEN) <= existing


def test_only_what_needs_a_page_or_a_sign_in_writes_to_open_routes(app: Flask) -> None:
    writing = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule in OPEN and (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
    }
    assert writing <= {
        "/login", "/login/code", "/login/passkey", "/login/passkey/options", "/logout", "/password",
        "/api/webhooks/instagram", "/api/cron/refresh-admin-stats",
        "/api/meta/data-deletion", "/api/meta/deauthorize",
    }  # fmt: skip
