"""Signing in with a passkey, from the sign-in page or instead of a code."""

from __future__ import annotations

import functools
import importlib
import logging
from types import ModuleType

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import DmstatsError, Forbidden
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.db.admins.passkeys import Purpose
from dmstats.db.admins.session_store import By, Proof
from dmstats.web import services
from dmstats.web.auth.csrf import require_own_origin
from dmstats.web.auth.passkey_site import PasskeyRefused, PasskeySite, passkey_site
from dmstats.web.auth.sessions import is_plain_http, set_challenge, take_challenge
from dmstats.web.auth.sign_in import record_failure, signed_in
from dmstats.web.auth.threadpool import in_thread_pool
from dmstats.web.schema.passkey_schemas import PasskeyAnswer
from dmstats.web.schema.validation import body

blueprint = Blueprint("passkey_sign_in", __name__)
logger = logging.getLogger(__name__)

UNKNOWN = "This passkey is unknown, or its owner's account is disabled."
TOO_LATE = "This took too long. Try again."


@blueprint.post("/login/passkey/options")
def options() -> ResponseReturnValue:
    """A challenge for any passkey of this site."""
    require_own_origin(request)
    services().authenticator.knock()
    site = required_site()
    challenge = services().passkeys.challenge(Purpose.SIGN_IN)
    set_challenge(challenge)
    return jsonify(ceremonies().request_options(site, challenge))


@blueprint.post("/login/passkey")
def sign_in() -> ResponseReturnValue:
    """Open a session of whose passkey has signed the challenge."""
    require_own_origin(request)
    answer = body(PasskeyAnswer, request)["credential"]
    site, challenge, passkeys = required_site(), take_challenge(), services().passkeys
    # Challenges are limited by address, so what comes after this is as well.
    if challenge is None or not passkeys.redeem(challenge, Purpose.SIGN_IN):
        raise Forbidden(TOO_LATE)
    library, email = ceremonies(), ""
    try:
        found = passkeys.find(library.person_of(answer), str(answer.get("id")))
        if found is None:
            raise Forbidden(UNKNOWN)
        admin, passkey = found
        email = admin.email
        uses = library.signed(answer, challenge, site, passkey)
        if not passkeys.note_use(admin.id, passkey, uses):
            raise Forbidden(TOO_LATE)
        proof = Proof(By.PASSKEY, two_factors=True)
        done = services().authenticator.sign_in_as(admin, proof)
    except DmstatsError as error:
        if isinstance(error, PasskeyRefused):
            logger.warning("passkey_refused", extra={"error": error.reason})
        record_failure(error, By.PASSKEY, email)
        raise
    return signed_in(done, None)


def required_site() -> PasskeySite:
    """The site that passkeys are for; raises :class:`Forbidden` where there can be none."""
    site = passkey_site(services().settings, request)
    if site is None:
        raise Forbidden(
            NEEDS_HTTPS
            if is_plain_http(request)
            else "Passkeys need a host name: open this page with its name instead of its IP "
            "address."
        )
    return site


@functools.cache
def ceremonies() -> ModuleType:
    """The module :mod:`dmstats.web.auth.webauthn_ceremonies`.

    Its library takes 0.3 s to import: a worker does so when it first needs it, beside its other
    requests.
    """
    name = "dmstats.web.auth.webauthn_ceremonies"
    return in_thread_pool(lambda: importlib.import_module(name))
