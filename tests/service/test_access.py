"""Every route and who may use it: allowed, refused, without signing in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dmstats.db.admins.admin import Admin
from dmstats.db.admins.roles import Role
from dmstats.db.admins.scopes import Scope
from dmstats.db.admins.session_store import Session
from dmstats.web.auth.access import ACCESS, register_access
from dmstats.web.auth.authenticator import Identity
from dmstats.web.auth.sign_in import blueprint as sign_in
from dmstats.web.middleware.problems import register_errors
from tests.service.test_routes import OPEN, SAMPLE, application

VIEWER = {
    "GET /", "GET /accounts", "GET /accounts/<instagram_id>", "GET /me",
    "GET /api/admin/stats", "GET /api/admin/stats/stream", "GET /api/admin/traffic",
    "GET /api/admin/history", "GET /api/admin/annotations", "GET /api/admin/accounts",
    "GET /api/admin/accounts/export",
    "GET /api/admin/accounts/<instagram_id>", "GET /api/admin/accounts/<instagram_id>/activity",
    "GET /api/admin/accounts/<instagram_id>/history",
    "GET /incidents", "GET /incidents/<incident_id>", "GET /deliveries",
    "GET /api/admin/incidents", "GET /api/admin/incidents/<incident_id>",
    "GET /api/admin/deliveries", "GET /api/openapi.json",
    "GET /lost", "GET /api/admin/lost", "GET /api/admin/accounts/<instagram_id>/lost",
    "GET /api/admin/me", "POST /api/admin/me/password", "POST /api/admin/me/sign-out",
    "POST /api/admin/me/second-factor", "POST /api/admin/me/second-factor/confirm",
    "POST /api/admin/me/second-factor/remove",
    "POST /api/admin/me/second-factor/recovery-codes",
    "GET /api/admin/me/passkeys", "POST /api/admin/me/passkeys/options",
    "POST /api/admin/me/passkeys", "POST /api/admin/me/passkeys/<passkey_id>/remove",
}  # fmt: skip
OPERATOR = VIEWER | {
    "PATCH /api/admin/accounts/<instagram_id>", "POST /api/admin/accounts/import",
    "POST /api/admin/stats/refresh", "POST /api/admin/annotations",
    "POST /api/admin/annotations/<note_id>", "POST /api/admin/annotations/<note_id>/delete",
}  # fmt: skip
ADMIN = OPERATOR | {
    "GET /admins", "GET /api/admin/admins", "POST /api/admin/admins",
    "POST /api/admin/admins/invite",
    *(f"POST /api/admin/admins/<admin_id>/{verb}"
      for verb in ("link", "role", "disable", "enable", "sign-out", "password",
                   "remove-second-factor")),
    "GET /activity-log", "GET /api/admin/activity-log", "POST /api/admin/alerts/test",
    "GET /alerts", "GET /api/admin/alerts/channels", "POST /api/admin/alerts/channels",
    *(f"POST /api/admin/alerts/channels/<channel_id>{verb}" for verb in ("", "/delete", "/test")),
    "GET /api/admin/alerts/rules", "POST /api/admin/alerts/rules",
    "POST /api/admin/alerts/rules/<rule_id>", "POST /api/admin/alerts/rules/<rule_id>/delete",
    "GET /tokens", "GET /api/admin/tokens", "POST /api/admin/tokens",
    "POST /api/admin/tokens/<token_id>/revoke",
    "GET /links", "GET /api/admin/links", "POST /api/admin/links",
    "POST /api/admin/links/<link_id>/revoke",
}  # fmt: skip
BY_ROLE = {Role.VIEWER: VIEWER, Role.OPERATOR: OPERATOR, Role.ADMIN: ADMIN}
BY_SCOPE = {
    Scope.FIGURES: {
        "GET /", "GET /api/admin/stats", "GET /api/admin/stats/stream", "GET /api/admin/traffic",
        "GET /api/admin/history", "GET /api/admin/annotations", "GET /api/openapi.json",
        "GET /incidents", "GET /incidents/<incident_id>",
        "GET /api/admin/incidents", "GET /api/admin/incidents/<incident_id>",
    },
    Scope.ACCOUNTS: {
        "GET /accounts", "GET /accounts/<instagram_id>", "GET /api/admin/accounts",
        "GET /api/admin/accounts/export", "GET /api/admin/accounts/<instagram_id>",
        "GET /api/admin/accounts/<instagram_id>/activity",
        "GET /api/admin/accounts/<instagram_id>/history",
        "GET /deliveries", "GET /api/admin/deliveries",
        "GET /lost", "GET /api/admin/lost", "GET /api/admin/accounts/<instagram_id>/lost",
    },
    Scope.EDITS: {
        "PATCH /api/admin/accounts/<instagram_id>", "POST /api/admin/accounts/import",
    },
    Scope.REFRESH: {"POST /api/admin/stats/refresh"},
    Scope.SENDS: {"POST /api/sends"},
    Scope.METRICS: {"GET /metrics"},
    Scope.ACTIVITY_LOG: {"GET /activity-log", "GET /api/admin/activity-log"},
}  # fmt: skip
"""What each role and each scope may do, written out once more: a slip in the table is noticed."""


class AnyRequester:
    """In place of the authenticator: says who asks."""

    identity: Identity | None = None

    def identify(self) -> Identity | None:
        return self.identity


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """All routes, with views that do nothing."""
    made = application(tmp_path_factory.mktemp("var"))
    for endpoint in made.view_functions:
        made.view_functions[endpoint] = lambda **_: "reached"
    made.extensions["dmstats"].authenticator = AnyRequester()
    return made


def operations(app: Flask) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield f"{method} {rule.rule}"


def guarded(app: Flask) -> list[str]:
    return [
        each for each in operations(app) if each.partition(" ")[2] not in set(OPEN) - {"/metrics"}
    ]


def reached(app: Flask, identity: Identity | None) -> set[str]:
    """The guarded operations that ``identity`` gets to; the others are refused in order."""
    app.extensions["dmstats"].authenticator.identity = identity
    client = app.test_client()
    found = set()
    for operation in guarded(app):
        method, _, rule = operation.partition(" ")
        headers = {"X-Forwarded-For": "203.0.113.7"}  # not a program on this machine
        answer = client.open(re.sub(r"<[^>]+>", SAMPLE, rule), method=method, headers=headers)
        if answer.status_code == 200:
            assert answer.text == "reached"
            found.add(operation)
        elif identity is None:
            expected = (
                302 if method == "GET" and not rule.startswith(("/api/", "/metrics")) else 401
            )
            assert answer.status_code == expected, operation
        else:
            no_session = identity.admin and rule in {"/metrics", "/api/sends"}
            assert answer.status_code == (401 if no_session else 403), operation
            assert answer.mimetype == "application/problem+json", operation
    return found


def person(role: Role) -> Identity:
    admin = Admin("a", "a@b.c", False, 1, None, role=role)
    return Identity(admin, Session("k", "a", 1, 0, 0, 1))


def test_the_table_has_every_route_and_no_other(app: Flask) -> None:
    assert sorted(ACCESS) == sorted(operations(app))
    assert sorted(each for each in ACCESS if not ACCESS[each].is_open) == sorted(guarded(app))


@pytest.mark.parametrize("role", [*Role])
def test_a_role_reaches_what_it_should(app: Flask, role: Role) -> None:
    assert reached(app, person(role)) == BY_ROLE[role]


@pytest.mark.parametrize("scope", [*Scope])
def test_a_scope_reaches_what_it_should(app: Flask, scope: Scope) -> None:
    assert reached(app, Identity(None, scopes=frozenset({scope}))) == BY_SCOPE[scope]


def test_without_signing_in_nothing_is_reached(app: Flask) -> None:
    assert reached(app, None) == set()


def test_a_program_on_this_machine_reads_the_metrics(app: Flask) -> None:
    assert app.test_client().get("/metrics").text == "reached"


def test_head_needs_what_get_needs(app: Flask) -> None:
    app.extensions["dmstats"].authenticator.identity = person(Role.VIEWER)
    assert app.test_client().head("/api/admin/stats").status_code == 200
    assert app.test_client().head("/api/admin/admins").status_code == 403


def test_a_route_without_a_rule_is_refused() -> None:
    app = Flask(__name__)
    register_errors(app)
    register_access(app)
    app.register_blueprint(sign_in)
    app.get("/new")(lambda: "reached")
    client: FlaskClient = app.test_client()
    assert client.get("/new").status_code == 403
    assert client.get("/nowhere").status_code == 404
