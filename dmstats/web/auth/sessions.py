"""The session cookie: what it holds and how browsers must treat it."""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Flask, Request, request, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

from dmstats.core.setting_types import is_loopback
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.session_store import By, Proof, session_key

PORT = re.compile(r":(\d{1,5})$", re.ASCII)

DEVICE_DAYS = 180
"""How long a browser is known after a sign-in. The session in the same cookie ends long before: its
document in the database decides."""

MAX_ACCOUNTS = 5
"""So many accounts are known in one browser."""


class AdminSessions(SecureCookieSessionInterface):
    """Flask's signed cookie; secure, and bound to this host, except on this machine itself."""

    def __init__(self) -> None:
        self._serializer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        # Flask creates a session for each request, including those without a cookie.
        if self._serializer is None:
            self._serializer = super().get_signing_serializer(app)
        return self._serializer

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 (Flask's signature)
        return request.is_secure or not _is_local(request.host)

    def get_cookie_name(self, app: Flask) -> str:
        # __Host-: browsers take it only over TLS and from this very host, so that neither a
        # neighbouring subdomain nor a plain connection can plant a session.
        name = "__Host-dmstats" if self.get_cookie_secure(app) else "dmstats"
        return name + _installation_suffix(request.host, request.script_root)


@functools.lru_cache(maxsize=256)
def _installation_suffix(netloc: str, root: str) -> str:
    """Tells several installations on one host apart by their port or path: browsers send a host's
    cookies to all of its ports, and ``__Host-`` ones to all of its paths."""
    port = PORT.search(netloc)
    parts = [port[1] if port else "", *re.findall(r"[A-Za-z0-9]+", root)]
    return "".join(f"-{part}" for part in parts if part)


def is_plain_http(request: Request) -> bool:
    """Whether the browser would drop the session cookie: no HTTPS, and not this machine itself.

    A proxy may do HTTPS without being trusted. The browser's own headers then show it: browsers
    send Fetch Metadata, and an https origin, only to secure addresses. Trusting them is safe,
    because the cookie stays ``Secure`` in any case.
    """
    if request.is_secure or _is_local(request.host):
        return False
    told = request.headers
    return not (
        "Sec-Fetch-Site" in told
        or told.get("Origin", "").lower().startswith("https://")
        or told.get("X-Forwarded-Proto", "").split(",")[0].strip().lower() == "https"
    )


def configure_sessions(app: Flask) -> None:
    """Set the cookie's rules on ``app``."""
    app.session_interface = AdminSessions()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=DEVICE_DAYS),
    )


def set_cookie(token: str, email: str) -> None:
    """Give this browser the session with that token, and note that ``email`` signed in here.

    Of an earlier session nothing stays but which accounts this browser is known for.
    """
    device, known = _device()
    account = _digest(email)
    session.clear()
    session.permanent = True
    session.update(
        token=token,
        device=device or secrets.token_urlsafe(12),
        known=[account, *(other for other in known if other != account)][:MAX_ACCOUNTS],
    )


def clear_cookie() -> None:
    """Take the session from this browser; it stays known."""
    session.pop("token", None)


def set_challenge(challenge: bytes) -> None:
    """Note in this browser which challenge its passkey is to answer."""
    session.permanent = True
    session["challenge"] = challenge


def take_challenge() -> bytes | None:
    """What :func:`set_challenge` noted; it is forgotten."""
    found = session.pop("challenge", None)
    return found if isinstance(found, bytes) else None


class Awaited(NamedTuple):
    """Whose code is awaited in a browser until when (ms since the epoch); ``by`` was the first
    step, and ``provider_ms`` is as in :class:`Proof`."""

    admin_id: str
    epoch: int
    until_ms: int
    by: By
    provider_ms: int | None


def await_code(admin: Admin, until_ms: int, proof: Proof) -> None:
    """Note in this browser that the first step was right, and whose code is awaited until when."""
    session.permanent = True
    first_step = [proof.by.value, proof.provider_ms]
    session["awaiting"] = [admin.id, admin.session_epoch, until_ms, *first_step]


def awaiting_code() -> Awaited | None:
    """What :func:`await_code` noted; the cookie is signed, so it is true."""
    waiting = session.get("awaiting")
    if not isinstance(waiting, list) or len(waiting) != 5:
        return None
    admin_id, epoch, until_ms, by, provider_ms = waiting
    return Awaited(str(admin_id), int(epoch), int(until_ms), By(by), provider_ms)


def want_fresh_sign_in() -> None:
    """Note in this browser that the provider must ask the person at the next sign-in, instead of
    going on with its own session. A sign-in forgets it."""
    session.permanent = True
    session["fresh"] = True


def fresh_sign_in_wanted() -> bool:
    """Whether :func:`want_fresh_sign_in` was noted."""
    return session.get("fresh") is True


def known_device(email: str) -> str | None:
    """The name of this browser if ``email`` has signed in here before, else None."""
    device, known = _device()
    return device if _digest(email) in known else None


def _device() -> tuple[str | None, list[str]]:
    device, known = session.get("device"), session.get("known")
    if not isinstance(device, str) or not isinstance(known, list):
        return None, []
    return device, [account for account in known if isinstance(account, str)]


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode("utf-8", "replace")).hexdigest()[:20]


def sent_key() -> str | None:
    """The key of the request's session, whether or not it is still valid.

    The cookie is signed, so a forged one is rejected without a database query.
    """
    token = session.get("token")
    return session_key(token) if isinstance(token, str) else None


@functools.lru_cache(maxsize=256)  # asked three times for each request, about few hosts
def _is_local(netloc: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return False
