"""One's own second factor: set up, confirm, remove, new recovery codes."""

from __future__ import annotations

import logging

import segno
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import BadRequest
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.second_factor import app_address
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.recording import record
from dmstats.web.schema.api_schemas import (
    CodeOfApp,
    LinkRequest,
    RecoveryCodesAnswer,
    SecondFactorOffer,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("second_factor", __name__, url_prefix="/api/admin/me/second-factor")
logger = logging.getLogger(__name__)

PIXELS = 4
"""How large a module of the QR code is drawn."""


@blueprint.post("")
def offer() -> ResponseReturnValue:
    """A secret for an authenticator app, given one's own password."""
    person = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(person, asked["currentPassword"])
    secret = services().second_factors.offer(person.id)
    address = app_address(secret, person.email)
    image = segno.make(address, error="m").svg_data_uri(scale=PIXELS, light="#fff")
    answer = {"secret": secret, "address": address, "image": image}
    response = jsonify(SecondFactorOffer().dump(answer))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/confirm")
def confirm() -> ResponseReturnValue:
    """From now on sign-ins need a code; the recovery codes are in this answer and never again.

    One's other sessions end: the password alone may have opened them, or an app or a recovery code
    that this replaces.
    """
    person = signed_in()
    asked = body(CodeOfApp, request)
    services().authenticator.confirm_attempt(person)
    codes = services().second_factors.confirm(person.id, asked["code"])
    services().authenticator.end_other_sessions_if_possible(person)
    logger.info("second_factor_set", extra={"admin": person.id})
    record(Event.SECOND_FACTOR_SET, person.email)
    return _shown_once(codes)


@blueprint.post("/remove")
def remove() -> ResponseReturnValue:
    """Sign-ins need no code any more; given one's own password. One's other sessions end."""
    person = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(person, asked["currentPassword"])
    services().second_factors.remove(person.id)
    services().authenticator.end_other_sessions(person)
    logger.info("second_factor_removed", extra={"admin": person.id, "by": person.id})
    record(Event.SECOND_FACTOR_REMOVED, person.email)
    return "", 204


@blueprint.post("/recovery-codes")
def renew_recovery_codes() -> ResponseReturnValue:
    """Ten new recovery codes, given one's own password; they are in this answer and never again.

    The earlier ones end, and so do one's other sessions, which one of them may have opened.
    """
    person = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(person, asked["currentPassword"])
    if not person.second_factor:
        raise BadRequest("You have no second factor. Set up an app or add a passkey first.")
    codes = services().second_factors.new_recovery_codes(person.id)
    services().authenticator.end_other_sessions_if_possible(person)
    logger.info("recovery_codes_made", extra={"admin": person.id})
    record(Event.RECOVERY_CODES_MADE, person.email)
    return _shown_once(codes)


def _shown_once(codes: list[str]) -> Response:
    response = jsonify(RecoveryCodesAnswer().dump({"recoveryCodes": codes}))
    response.headers["Cache-Control"] = "no-store"
    return response
