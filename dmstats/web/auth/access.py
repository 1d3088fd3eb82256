"""The access rules of all routes: one table, applied before every request.

Routes that are not in it are refused, so that none can be forgotten.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from flask import Flask, g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from dmstats.core.errors import Forbidden, NotSignedIn
from dmstats.db.admins.roles import Role
from dmstats.db.admins.scopes import Scope
from dmstats.web import services
from dmstats.web.auth.authenticator import Identity
from dmstats.web.auth.local_program import is_local_program


@dataclass(frozen=True, slots=True)
class Access:
    """One rule.

    Without a ``role`` no session is accepted, without a ``scope`` no token. ``is_open``: no sign-in
    is needed; the view may have its own rule. ``local``: programs on this machine also need no
    sign-in.
    """

    role: Role | None = None
    scope: Scope | None = None
    is_open: bool = False
    local: bool = False

    def allows(self, identity: Identity) -> bool:
        """Whether that person or script may use the route."""
        if identity.admin is not None:
            return self.role is not None and identity.admin.role.includes(self.role)
        return self.scope is not None and self.scope in identity.scopes


OPEN = Access(is_open=True)
OWN = Access(Role.VIEWER)
FIGURES = Access(Role.VIEWER, Scope.FIGURES)
ACCOUNTS = Access(Role.VIEWER, Scope.ACCOUNTS)
EDITS = Access(Role.OPERATOR, Scope.EDITS)
REFRESH = Access(Role.OPERATOR, Scope.REFRESH)
NOTES = Access(Role.OPERATOR)
PEOPLE = Access(Role.ADMIN)
ALERTS = Access(Role.ADMIN)
ACTIVITY_LOG = Access(Role.ADMIN, Scope.ACTIVITY_LOG)

ADMINS = "/api/admin/admins"
ANNOTATIONS = "/api/admin/annotations"
CHANNELS, RULES = "/api/admin/alerts/channels", "/api/admin/alerts/rules"

ACCESS: dict[str, Access] = {
    # How one gets in and out, and what these pages are made of.
    "GET /login": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "GET /login/code": OPEN,
    "POST /login/code": OPEN,
    "POST /login/passkey/options": OPEN,
    "POST /login/passkey": OPEN,
    "GET /login/sso": OPEN,
    "GET /login/sso/callback": OPEN,
    "GET /password": OPEN,
    "POST /password": OPEN,
    "GET /static/<path:path>": OPEN,
    # Meta signs its requests about users, and sends users to the status page.
    "POST /api/meta/data-deletion": OPEN,
    "POST /api/meta/deauthorize": OPEN,
    "GET /data-deletion/<code>": OPEN,
    # A shared link is its own secret.
    "GET /shared/<link>": OPEN,
    "GET /shared/<link>/stats": OPEN,
    "GET /shared/<link>/stream": OPEN,
    # Probes; the cron route asks for CRON_SECRET.
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /api/cron/refresh-admin-stats": OPEN,
    "POST /api/cron/refresh-admin-stats": OPEN,
    "GET /metrics": Access(scope=Scope.METRICS, local=True),
    # Figures, accounts, and what went wrong.
    "GET /": FIGURES,
    "GET /accounts": ACCOUNTS,
    "GET /accounts/<instagram_id>": ACCOUNTS,
    "GET /api/admin/stats": FIGURES,
    "GET /api/admin/stats/stream": FIGURES,
    "GET /api/admin/traffic": FIGURES,
    "GET /api/admin/history": FIGURES,
    f"GET {ANNOTATIONS}": FIGURES,
    f"POST {ANNOTATIONS}": NOTES,
    f"POST {ANNOTATIONS}/<note_id>": NOTES,
    f"POST {ANNOTATIONS}/<note_id>/delete": NOTES,
    "GET /api/admin/accounts": ACCOUNTS,
    "GET /api/admin/accounts/export": ACCOUNTS,
    "GET /api/admin/accounts/<instagram_id>": ACCOUNTS,
    "PATCH /api/admin/accounts/<instagram_id>": EDITS,
    "POST /api/admin/accounts/import": EDITS,
    "GET /api/admin/accounts/<instagram_id>/activity": ACCOUNTS,
    "GET /api/admin/accounts/<instagram_id>/history": ACCOUNTS,
    "GET /lost": ACCOUNTS,
    "GET /api/admin/lost": ACCOUNTS,
    "GET /api/admin/accounts/<instagram_id>/lost": ACCOUNTS,
    "POST /api/sends": Access(scope=Scope.SENDS),
    "GET /incidents": FIGURES,
    "GET /incidents/<incident_id>": FIGURES,
    "GET /api/admin/incidents": FIGURES,
    "GET /api/admin/incidents/<incident_id>": FIGURES,
    "GET /deliveries": ACCOUNTS,
    "GET /api/admin/deliveries": ACCOUNTS,
    "POST /api/admin/alerts/test": ALERTS,
    "GET /alerts": ALERTS,
    f"GET {CHANNELS}": ALERTS,
    f"POST {CHANNELS}": ALERTS,
    f"POST {CHANNELS}/<channel_id>": ALERTS,
    f"POST {CHANNELS}/<channel_id>/delete": ALERTS,
    f"POST {CHANNELS}/<channel_id>/test": ALERTS,
    f"GET {RULES}": ALERTS,
    f"POST {RULES}": ALERTS,
    f"POST {RULES}/<rule_id>": ALERTS,
    f"POST {RULES}/<rule_id>/delete": ALERTS,
    "GET /api/openapi.json": FIGURES,
    "POST /api/admin/stats/refresh": REFRESH,
    # Oneself.
    "GET /me": OWN,
    "GET /api/admin/me": OWN,
    "POST /api/admin/me/password": OWN,
    "POST /api/admin/me/sign-out": OWN,
    "POST /api/admin/me/second-factor": OWN,
    "POST /api/admin/me/second-factor/confirm": OWN,
    "POST /api/admin/me/second-factor/remove": OWN,
    "POST /api/admin/me/second-factor/recovery-codes": OWN,
    "GET /api/admin/me/passkeys": OWN,
    "POST /api/admin/me/passkeys/options": OWN,
    "POST /api/admin/me/passkeys": OWN,
    "POST /api/admin/me/passkeys/<passkey_id>/remove": OWN,
    # People, tokens, and what was done.
    "GET /admins": PEOPLE,
    f"GET {ADMINS}": PEOPLE,
    f"POST {ADMINS}": PEOPLE,
    f"POST {ADMINS}/invite": PEOPLE,
    f"POST {ADMINS}/<admin_id>/link": PEOPLE,
    f"POST {ADMINS}/<admin_id>/role": PEOPLE,
    f"POST {ADMINS}/<admin_id>/disable": PEOPLE,
    f"POST {ADMINS}/<admin_id>/enable": PEOPLE,
    f"POST {ADMINS}/<admin_id>/sign-out": PEOPLE,
    f"POST {ADMINS}/<admin_id>/password": PEOPLE,
    f"POST {ADMINS}/<admin_id>/remove-second-factor": PEOPLE,
    "GET /tokens": PEOPLE,
    "GET /api/admin/tokens": PEOPLE,
    "POST /api/admin/tokens": PEOPLE,
    "POST /api/admin/tokens/<token_id>/revoke": PEOPLE,
    "GET /links": PEOPLE,
    "GET /api/admin/links": PEOPLE,
    "POST /api/admin/links": PEOPLE,
    "POST /api/admin/links/<link_id>/revoke": PEOPLE,
    "GET /activity-log": ACTIVITY_LOG,
    "GET /api/admin/activity-log": ACTIVITY_LOG,
}


def register_access(app: Flask) -> None:
    """Apply the table to ``app``, and let its templates ask what the reader may do."""
    app.before_request(enforce)

    @app.context_processor
    def tools() -> dict[str, object]:
        return {"may": may}


def enforce() -> ResponseReturnValue | None:
    """None for a request that is allowed, which then has ``g.identity``.

    Without signing in, a page leads to the sign-in, and everything else is 401; what is known but
    not allowed is 403.
    """
    rule = request.url_rule
    if rule is None or request.method == "OPTIONS":
        return None  # Flask answers: there is no such route, or which methods it has
    access = _access("GET" if request.method == "HEAD" else request.method, rule.rule)
    if access.is_open or (access.local and is_local_program(request)):
        return None
    identity = services().authenticator.identify()
    if identity is None or (access.role is None and identity.admin is not None):
        return _sign_in(access)
    if not access.allows(identity):
        raise Forbidden(_refusal(access, identity))
    g.identity = identity
    g.still_allowed = functools.partial(_require_still_allowed, access)
    return None if access is OWN else _demand_second_factor(identity)


def _require_still_allowed(access: Access) -> None:
    """Raise :class:`NotSignedIn` or :class:`Forbidden` if the rights have ended by now."""
    identity = services().authenticator.identify()
    if identity is None:
        raise NotSignedIn("Your session or token ended before the request was complete.")
    if not access.allows(identity):
        raise Forbidden(_refusal(access, identity))


def may(operation: str) -> bool:
    """Whether the requester may use ``operation``, such as "POST /api/admin/stats/refresh"."""
    identity: Identity | None = g.get("identity")
    return identity is not None and ACCESS[operation].allows(identity)


def _demand_second_factor(identity: Identity) -> ResponseReturnValue | None:
    """If the installation requires a second factor, people without one may only set it up."""
    required = services().settings.second_factor == "required"
    if not required or identity.admin is None or identity.two_factors:
        return None
    if request.path.startswith("/api/"):
        raise Forbidden("Set up a second factor first, on the page of your account.")
    return redirect(url_for("pages.me"))


def _access(method: str, rule: str) -> Access:
    found = ACCESS.get(f"{method} {rule}")
    if found is None:
        raise Forbidden("This route has no access rule.")
    return found


def _sign_in(access: Access) -> ResponseReturnValue:
    if access.role is None:
        raise NotSignedIn(f"Send an API token with the scope {access.scope} as a bearer token.")
    if request.path.startswith("/api/"):
        raise NotSignedIn("Sign in, or send the API token as a bearer token.")
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("signin.login", next=None if target == "/" else target))


def _refusal(access: Access, identity: Identity) -> str:
    if identity.admin is not None:
        return f"Your role, {identity.admin.role}, does not allow this; it needs {access.role}."
    if access.scope is None:
        return "This needs a person's own session, not an API token."
    return f"This token does not have the scope {access.scope}."
