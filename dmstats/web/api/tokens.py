"""API tokens, for admins: list, make, revoke."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.db.admins.activity_log import Event
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.recording import record
from dmstats.web.schema.token_schemas import (
    NewToken,
    NewTokenAnswer,
    TokenAnswer,
    TokensAnswer,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("tokens", __name__, url_prefix="/api/admin/tokens")
logger = logging.getLogger(__name__)


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """All tokens, without their secrets."""
    return jsonify(TokensAnswer().dump({"tokens": services().tokens.list()}))


@blueprint.post("")
def make() -> ResponseReturnValue:
    """A new token; its text is in this answer and never again."""
    me = signed_in()
    asked = body(NewToken, request)
    token, text = services().tokens.create(
        asked["name"].strip(), asked["scopes"], days=asked["days"], made_by=me.email
    )
    logger.info("token_created", extra={"token_id": token.id, "by": me.id})
    record(Event.TOKEN_MADE, token.name, ", ".join(token.scope_names))
    response = jsonify(NewTokenAnswer().dump({"token": token, "secret": text}))
    response.headers["Cache-Control"] = "no-store"
    return response, 201


@blueprint.post("/<token_id>/revoke")
def revoke(token_id: str) -> ResponseReturnValue:
    """End a token: its next request is refused, and its open streams end."""
    me = signed_in()
    token = services().tokens.revoke(token_id)
    services().authenticator.forget_token(token.id)
    logger.info("token_revoked", extra={"token_id": token.id, "by": me.id})
    record(Event.TOKEN_REVOKED, token.name)
    return jsonify(TokenAnswer().dump(token))
