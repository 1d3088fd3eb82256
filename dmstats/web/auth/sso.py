"""Single sign-on by the OpenID Connect provider, for people."""

from __future__ import annotations

import logging

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import DmstatsError, Forbidden, NothingBegun, StoreUnavailable
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.admin import Admin, Refusal
from dmstats.db.admins.admin_store import LastAdmin
from dmstats.db.admins.roles import Role
from dmstats.db.admins.session_store import By, Proof
from dmstats.web import services
from dmstats.web.auth.authenticator import CodeNeeded
from dmstats.web.auth.claims import Claimed, ClaimsRefused, claimed
from dmstats.web.auth.recording import record_of
from dmstats.web.auth.sessions import fresh_sign_in_wanted, is_plain_http
from dmstats.web.auth.sign_in import record_failure, signed_in
from dmstats.web.auth.sign_in_page import own_path, sign_in_page, to_code_page

blueprint = Blueprint("sso", __name__)
logger = logging.getLogger(__name__)

CALLBACK = "/login/sso/callback"


@blueprint.get("/login/sso")
def begin() -> ResponseReturnValue:
    """To the provider, which sends the browser back to the callback."""
    target = own_path(request.args.get("next"))
    base = services().settings.public_url or request.url_root
    try:
        if is_plain_http(request):
            raise Forbidden(NEEDS_HTTPS)
        client = services().single_sign_on
        if client is None:
            raise Forbidden("Single sign-on is not set up.")
        address = client.begin(base.rstrip("/") + CALLBACK, target, fresh=fresh_sign_in_wanted())
        return redirect(address, 303)
    except DmstatsError as error:
        return sign_in_page(error, target=target)


@blueprint.get(CALLBACK)
def callback() -> ResponseReturnValue:
    """Back from the provider: open a session, or say why not."""
    email, target = "", None
    try:
        services().authenticator.knock()
        client = services().single_sign_on
        if client is None:
            raise Forbidden("Single sign-on is not set up.")
        answer = client.finish()
        target = answer.target
        told = claimed(answer.claims, services().settings)
        email = told.email
        trusted = services().settings.sso_second_factor == "provider"
        proof = Proof(By.PROVIDER, two_factors=trusted, provider_ms=answer.asked_ms)
        done = services().authenticator.sign_in_as(_person(told), proof)
    except CodeNeeded:
        return to_code_page(target)
    except DmstatsError as error:
        if isinstance(error, NothingBegun) and _is_signed_in():
            # The browser has loaded this address again, as after going back.
            return redirect(f"{request.script_root}/", 303)
        if isinstance(error, ClaimsRefused):
            email = _refuse(error)
        record_failure(error, By.PROVIDER, email)
        return sign_in_page(error, target=target)
    return signed_in(done, target)


def _is_signed_in() -> bool:
    try:
        return services().authenticator.identify() is not None
    except StoreUnavailable:
        return False


def _person(told: Claimed) -> Admin:
    """The person's account, created if allowed, with the role that the provider assigns."""
    identities, admins = services().identities, services().admins
    admin = identities.known(told.identity) or identities.connect(told.identity, told.email)
    if admin is None:
        admin = _new(told)
    if admin.disabled:
        raise Forbidden("Your account is disabled. Ask an admin.")
    if admin.refused or admin.refusal is not None:
        admin = admins.admit_again(admin.id)
    if told.role is not None and told.role is not admin.role:
        admin = admins.set_role(admin.id, told.role)
        logger.info("role_changed", extra={"admin": admin.id, "by": By.PROVIDER.value})
        record_of(admin, Event.ROLE_CHANGED, admin.email, f"{admin.role}, by {By.PROVIDER.value}")
    return admin


def _new(told: Claimed) -> Admin:
    if services().settings.oidc_unknown != "created":
        raise Forbidden(f"There is no account for {told.email}. Ask an admin to add you.")
    role, identity = told.role or Role.VIEWER, told.identity.document()
    admin = services().admins.admit(told.email, role, identity)
    logger.info("admin_added", extra={"admin": admin.id, "by": By.PROVIDER.value})
    record_of(admin, Event.PERSON_ADDED, admin.email, f"{role}, by {By.PROVIDER.value}")
    return admin


def _refuse(refused: ClaimsRefused) -> str:
    """Note the refusal for the People page. If the person has no role any more, also end their
    sessions and refuse the other ways to sign in. Returns the email, empty if there is no such
    account."""
    person, admins = services().identities.known(refused.identity), services().admins
    if person is None:
        return ""
    services().identities.note_refusal(person.id, refused.refusal, services().clock.now_ms())
    if refused.refusal is not Refusal.ROLE:
        return person.email
    try:
        admins.refuse(person.id)
    except LastAdmin:
        admins.sign_out_everywhere(person.id)
    return person.email
