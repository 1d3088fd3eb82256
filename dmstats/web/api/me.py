"""A person's own account: password, sessions and second factor."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.db.admins.activity_log import Event
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.recording import record
from dmstats.web.schema.api_schemas import AdminAnswer, NewPassword
from dmstats.web.schema.validation import body

blueprint = Blueprint("me", __name__, url_prefix="/api/admin/me")
logger = logging.getLogger(__name__)


@blueprint.get("")
def me() -> ResponseReturnValue:
    """The signed-in person, and with which role."""
    return jsonify(AdminAnswer().dump(signed_in()))


@blueprint.post("/password")
def change_password() -> ResponseReturnValue:
    """Set your own password, given the present one; one's other sessions end."""
    person = signed_in()
    asked = body(NewPassword, request)
    authenticator = services().authenticator
    authenticator.confirm(person, asked["currentPassword"])
    changed = services().admins.change_password(person.id, asked["password"])
    authenticator.resume(changed)
    logger.info("admin_password_changed", extra={"admin": person.id, "by": person.id})
    record(Event.PASSWORD_CHANGED, person.email)
    return jsonify(AdminAnswer().dump(changed))


@blueprint.post("/sign-out")
def sign_out_everywhere() -> ResponseReturnValue:
    """End all of your sessions, this one among them."""
    person = signed_in()
    services().admins.sign_out_everywhere(person.id)
    logger.info("admin_signed_out", extra={"admin": person.id, "by": person.id})
    record(Event.SIGNED_OUT_EVERYWHERE, person.email)
    return "", 204
