"""Your passkeys: list, add, remove."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import Forbidden
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.passkeys import Purpose
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.passkey_sign_in import TOO_LATE, ceremonies, required_site
from dmstats.web.auth.passkey_site import PasskeyRefused
from dmstats.web.auth.recording import record
from dmstats.web.auth.sessions import set_challenge, take_challenge
from dmstats.web.schema.api_schemas import LinkRequest
from dmstats.web.schema.passkey_schemas import (
    NewPasskey,
    PasskeyOptions,
    PasskeyShown,
    PasskeysShown,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("passkeys", __name__, url_prefix="/api/admin/me/passkeys")
logger = logging.getLogger(__name__)


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """The person's own passkeys."""
    return jsonify(PasskeysShown().dump({"passkeys": services().passkeys.list(signed_in().id)}))


@blueprint.post("/options")
def options() -> ResponseReturnValue:
    """What the browser needs to make one, given one's own password."""
    person = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(person, asked["currentPassword"])
    site, passkeys = required_site(), services().passkeys
    challenge = passkeys.challenge(Purpose.ADD, person.id)
    set_challenge(challenge)
    made = ceremonies().creation_options(
        site, person.id, person.email, challenge, passkeys.list(person.id)
    )
    return jsonify(PasskeyOptions().dump({"options": made}))


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Take one into use that the browser has made; from now on the password alone does not sign
    in, and what it opened elsewhere ends.

    Who has no recovery codes (left) gets ten, which are in this answer and never again.
    """
    person = signed_in()
    asked = body(NewPasskey, request)
    services().authenticator.confirm_attempt(person)
    site, challenge, passkeys = required_site(), take_challenge(), services().passkeys
    if challenge is None or not passkeys.redeem(challenge, Purpose.ADD, person.id):
        raise Forbidden(TOO_LATE)
    try:
        made = ceremonies().created(asked["credential"], challenge, site)
    except PasskeyRefused as error:
        logger.warning("passkey_refused", extra={"error": error.reason})
        raise
    passkey, codes = passkeys.add(person.id, asked["name"].strip(), *made), list[str]()
    if not (person.second_factor and services().admins.get(person.id).recovery):
        codes = services().second_factors.new_recovery_codes(person.id)
    if not person.second_factor:
        services().authenticator.end_other_sessions_if_possible(person)
    logger.info("passkey_added", extra={"admin": person.id, "passkey": passkey.id})
    record(Event.PASSKEY_ADDED, person.email, passkey.name)
    response = jsonify(PasskeyShown().dump(passkey) | {"recoveryCodes": codes})
    response.headers["Cache-Control"] = "no-store"
    return response, 201


@blueprint.post("/<passkey_id>/remove")
def remove(passkey_id: str) -> ResponseReturnValue:
    """Take one out of use, given one's own password; what it may have opened elsewhere ends."""
    person = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(person, asked["currentPassword"])
    passkey = services().passkeys.remove(person.id, passkey_id)
    services().second_factors.forget_recovery_codes(person.id)
    services().authenticator.end_other_sessions(person)
    logger.info("passkey_removed", extra={"admin": person.id, "passkey": passkey.id})
    record(Event.PASSKEY_REMOVED, person.email, passkey.name)
    return "", 204
