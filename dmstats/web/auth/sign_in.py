"""Signing in and out, for people (a form) and for scripts (JSON)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import (
    BadRequest,
    DmstatsError,
    Forbidden,
    NotSignedIn,
    StoreUnavailable,
    TooManyRequests,
)
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.second_factor import UsedCode
from dmstats.web import services
from dmstats.web.auth.authenticator import CodeNeeded, SignedIn, WrongCode
from dmstats.web.auth.csrf import require_own_origin
from dmstats.web.auth.recording import record_of, record_stranger
from dmstats.web.auth.sessions import is_plain_http
from dmstats.web.middleware.problems import retry_after
from dmstats.web.schema.api_schemas import Credentials, SecondFactorCode
from dmstats.web.schema.validation import body

blueprint = Blueprint("signin", __name__)
logger = logging.getLogger(__name__)

HOME = "/"
NOT_ENDED = (
    "You are signed out in this browser. The database does not answer, so a copy of the session "
    "could still be used: sign in again when it is back, and sign out everywhere."
)
MAX_TARGET = 2000


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """The sign-in page; redirects admins who are signed in already."""
    target = own_path(request.args.get("next"))
    with contextlib.suppress(StoreUnavailable):
        if services().authenticator.identify() is not None:
            return redirect(request.script_root + target, 303)
    insecure = NEEDS_HTTPS if is_plain_http(request) else None
    return render_template("login.html", error=insecure, email="", next=target)


@blueprint.post("/login")
def sign_in() -> ResponseReturnValue:
    """Open a session: 303 to where the admin wanted to go, or JSON."""
    require_own_origin(request)
    sent: dict[str, Any] = {}
    try:
        if is_plain_http(request):
            raise Forbidden(NEEDS_HTTPS)
        sent = body(Credentials(), request)
        done = services().authenticator.sign_in(sent["email"], sent["password"], sent["code"])
    except CodeNeeded:
        if request.is_json:
            raise
        target = own_path(sent["next"])
        query = "" if target == HOME else "?" + urlencode({"next": target})
        return redirect(f"{request.script_root}/login/code{query}", 303)
    except DmstatsError as error:
        logger.info("sign_in_failed", extra={"status": error.status, "from": request.remote_addr})
        _record_failure(error, sent)
        if request.is_json:
            raise
        return _again(error)
    return _signed_in(done, sent["next"])


@blueprint.get("/login/code")
def code() -> ResponseReturnValue:
    """The form for the second factor's code; to the sign-in without a password before."""
    if services().authenticator.awaited() is None:
        return redirect(f"{request.script_root}/login", 303)
    return render_template("code.html", error=None, next=own_path(request.args.get("next")))


@blueprint.post("/login/code")
def send_code() -> ResponseReturnValue:
    """Finish the sign-in with a code."""
    require_own_origin(request)
    sent = body(SecondFactorCode(), request)
    try:
        done = services().authenticator.finish_sign_in(sent["code"])
    except DmstatsError as error:
        _record_failure(error, {"email": getattr(error, "email", "")})
        if request.is_json:
            raise
        headers = {} if error.retry_after is None else {"Retry-After": retry_after(error)}
        template = "code.html" if services().authenticator.awaited() else "login.html"
        page = render_template(template, error=str(error), email="", next=own_path(sent["next"]))
        return page, error.status, headers
    return _signed_in(done, sent["next"])


def _signed_in(done: SignedIn, target: str | None) -> ResponseReturnValue:
    admin = done.admin
    logger.info("signed_in", extra={"admin": admin.id, "from": request.remote_addr})
    record_of(admin, Event.SIGNED_IN)
    if done.used is UsedCode.RECOVERY:
        record_of(admin, Event.RECOVERY_CODE_USED)
    if request.is_json:
        return jsonify({"email": admin.email})
    return redirect(request.script_root + own_path(target), 303)


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """End this browser's session."""
    require_own_origin(request)
    script = request.is_json or request.accept_mimetypes.best == "application/json"
    try:
        person = services().authenticator.sign_out()
    except StoreUnavailable as error:
        logger.warning("session_not_ended", extra={"error": error.reason})
        if script:
            raise
        page = render_template("login.html", error=NOT_ENDED, email="", next=HOME)
        return page, error.status, {"Retry-After": retry_after(error)}
    if person is not None:
        record_of(person, Event.SIGNED_OUT)
    return ("", 204) if script else redirect(f"{request.script_root}/login", 303)


def own_path(target: str | None) -> str:
    """``target`` if it is a path of this very service, from its own top on, else the home page.

    Browsers drop tabs and newlines from an address and read a backslash as a slash: a target
    with any of them, or with two slashes in front, may lead elsewhere.
    """
    if not target or len(target) > MAX_TARGET or not target.isprintable() or "\\" in target:
        return HOME
    return target if target.startswith("/") and not target.startswith("//") else HOME


def _record_failure(error: DmstatsError, sent: Mapping[str, Any]) -> None:
    """A wrong password each time; what the limits refuse once a minute, as it may be a flood."""
    if isinstance(error, WrongCode):
        event = Event.CODE_FAILED
    elif isinstance(error, NotSignedIn):
        event = Event.SIGN_IN_FAILED
    elif isinstance(error, TooManyRequests) and services().authenticator.is_first_refusal():
        event = Event.SIGN_IN_LIMITED
    else:
        return
    with contextlib.suppress(StoreUnavailable):
        record_stranger(event, services().admins.known_email(sent["email"]))


def _again(error: DmstatsError) -> ResponseReturnValue:
    sentence = "Enter your email and password." if isinstance(error, BadRequest) else str(error)
    if error.status >= 500:
        sentence = "Signing in is not possible right now. Try again in a moment."
    page = render_template(
        "login.html",
        error=sentence,
        email=request.form.get("email", "")[:320],
        next=own_path(request.form.get("next")),
    )
    headers = {} if error.retry_after is None else {"Retry-After": retry_after(error)}
    return page, error.status, headers
