"""Signing in and out, for people (a form) and for scripts (JSON)."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import (
    BadRequest,
    DmstatsError,
    Forbidden,
    NotFound,
    NotSignedIn,
    StoreUnavailable,
    TooManyRequests,
)
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.second_factor import UsedCode
from dmstats.db.admins.session_store import By, Proof
from dmstats.web import services
from dmstats.web.auth.authenticator import CodeNeeded, SignedIn, WrongCode
from dmstats.web.auth.csrf import require_own_origin
from dmstats.web.auth.passkey_site import passkey_site
from dmstats.web.auth.proxy_header import named_by_proxy
from dmstats.web.auth.recording import record_of, record_stranger
from dmstats.web.auth.sessions import is_plain_http
from dmstats.web.auth.sign_in_page import SIGNED_OUT, own_path, sign_in_page, to_code_page
from dmstats.web.middleware.problems import retry_after
from dmstats.web.schema.api_schemas import Credentials, SecondFactorCode
from dmstats.web.schema.validation import body

blueprint = Blueprint("signin", __name__)
logger = logging.getLogger(__name__)

NOT_ENDED = (
    "You are signed out in this browser. The database does not answer, so a copy of the session "
    "could still be used: sign in again when it is back, and sign out everywhere."
)


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """The sign-in page; redirects people who are already signed in, and signs in a person named by
    the identity proxy."""
    target = own_path(request.args.get("next"))
    with contextlib.suppress(StoreUnavailable):
        if services().authenticator.identify() is not None:
            return redirect(request.script_root + target, 303)
    if is_plain_http(request):
        return sign_in_page(words=NEEDS_HTTPS, target=target)
    email = named_by_proxy(request, services().settings)
    if email is None or SIGNED_OUT in request.args:
        return sign_in_page(target=target)
    return _sign_in_by_proxy(email, target)


def _sign_in_by_proxy(email: str, target: str) -> ResponseReturnValue:
    trusted = services().settings.sso_second_factor == "provider"
    try:
        services().authenticator.knock()
        person = services().admins.find(email)
        if person.disabled:
            raise Forbidden("Your account is disabled. Ask an admin.")
        if person.invited:
            person = services().admins.accept_invitation(person.id)
        done = services().authenticator.sign_in_as(person, Proof(By.PROXY, two_factors=trusted))
    except CodeNeeded:
        return to_code_page(target)
    except NotFound:
        refused = Forbidden(f"There is no account for {email}. Ask an admin to add you.")
        record_failure(refused, By.PROXY)
        return sign_in_page(refused, target=target)
    except DmstatsError as error:
        record_failure(error, By.PROXY, email)
        return sign_in_page(error, target=target)
    return signed_in(done, target)


@blueprint.post("/login")
def sign_in() -> ResponseReturnValue:
    """Open a session: 303 to where the admin wanted to go, or JSON."""
    require_own_origin(request)
    sent: dict[str, Any] = {}
    try:
        if is_plain_http(request):
            raise Forbidden(NEEDS_HTTPS)
        sent = body(Credentials, request)
        done = services().authenticator.sign_in(sent["email"], sent["password"], sent["code"])
    except CodeNeeded:
        if request.is_json:
            raise
        return to_code_page(sent["next"])
    except DmstatsError as error:
        record_failure(error, By.PASSWORD, sent.get("email", ""))
        if request.is_json:
            raise
        return _again(error)
    return signed_in(done, sent["next"])


@blueprint.get("/login/code")
def code() -> ResponseReturnValue:
    """The form for the second factor's code; to the sign-in without a password before."""
    person = services().authenticator.awaited()
    if person is None:
        return redirect(f"{request.script_root}/login", 303)
    return _code_page(person, None, request.args.get("next"))


@blueprint.post("/login/code")
def send_code() -> ResponseReturnValue:
    """Finish the sign-in with a code."""
    require_own_origin(request)
    sent = body(SecondFactorCode, request)
    try:
        done = services().authenticator.finish_sign_in(sent["code"])
    except DmstatsError as error:
        record_failure(error, By.PASSWORD, getattr(error, "email", ""))
        if request.is_json:
            raise
        person = services().authenticator.awaited()
        if person is None:
            return sign_in_page(error, target=sent["next"])
        return _code_page(person, error, sent["next"])
    return signed_in(done, sent["next"])


def _code_page(
    person: Admin, error: DmstatsError | None, target: str | None
) -> ResponseReturnValue:
    page = render_template(
        "code.html",
        person=person,
        passkeys=passkey_site(services().settings, request) is not None,
        error=error,
        next=own_path(target),
    )
    if error is None:
        return page
    headers = {} if error.retry_after is None else {"Retry-After": retry_after(error)}
    return page, error.status, headers


def signed_in(done: SignedIn, target: str | None) -> ResponseReturnValue:
    """The answer to a sign-in, which is recorded: a redirect to ``target``, or JSON."""
    admin = done.admin
    extra = {"admin": admin.id, "from": request.remote_addr, "by": done.by.value}
    logger.info("signed_in", extra=extra)
    record_of(admin, Event.SIGNED_IN, details="" if done.by is By.PASSWORD else done.by.value)
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
        return sign_in_page(error, words=NOT_ENDED)
    if person is not None:
        record_of(person, Event.SIGNED_OUT)
    # The proxy would sign in again at once.
    proxied = named_by_proxy(request, services().settings)
    page = f"{request.script_root}/login" + (f"?{SIGNED_OUT}=yes" if proxied else "")
    return ("", 204) if script else redirect(page, 303)


def record_failure(error: DmstatsError, by: By, email: str = "") -> None:
    """Record each refusal, but those by a rate limit only once a minute, because they may be a
    flood.

    ``email`` is recorded only if a person has it.
    """
    extra = {"status": error.status, "from": request.remote_addr, "by": by.value}
    logger.info("sign_in_failed", extra=extra)
    if isinstance(error, WrongCode):
        event = Event.CODE_FAILED
    elif isinstance(error, NotSignedIn) or (by is not By.PASSWORD and error.status < 429):
        event = Event.SIGN_IN_FAILED
    elif isinstance(error, TooManyRequests) and services().authenticator.is_first_refusal():
        event = Event.SIGN_IN_LIMITED
    else:
        return
    with contextlib.suppress(StoreUnavailable):
        known = services().admins.known_email(email)
        record_stranger(event, known, "" if by is By.PASSWORD else by.value)


def _again(error: DmstatsError) -> ResponseReturnValue:
    sentence = "Enter your email and password." if isinstance(error, BadRequest) else str(error)
    if error.status >= 500:
        sentence = "Signing in is not possible right now. Try again in a moment."
    form = request.form
    return sign_in_page(error, words=sentence, target=form.get("next"), email=form.get("email", ""))
