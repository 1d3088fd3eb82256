"""Shared links, for admins: list, make, revoke."""

from __future__ import annotations

import logging

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.db.admins.activity_log import Event
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.recording import record
from dmstats.web.schema.shared_link_schemas import (
    NewSharedLink,
    NewSharedLinkAnswer,
    SharedLinkAnswer,
    SharedLinksAnswer,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("shared_links", __name__, url_prefix="/api/admin/links")
logger = logging.getLogger(__name__)


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """All links, without their secrets."""
    return jsonify(SharedLinksAnswer().dump({"links": services().shared_links.list()}))


@blueprint.post("")
def make() -> ResponseReturnValue:
    """A new link; its address is in this answer and never again."""
    me = signed_in()
    asked = body(NewSharedLink, request)
    link, text = services().shared_links.create(
        asked["label"].strip(), asked["parts"], days=asked["days"], made_by=me.email
    )
    logger.info("shared_link_created", extra={"link_id": link.id, "by": me.id})
    record(Event.SHARED_LINK_MADE, link.label, ", ".join(link.part_names))
    base = (services().settings.public_url or request.url_root).rstrip("/")
    answer = {"link": link, "address": f"{base}/shared/{text}"}
    response = jsonify(NewSharedLinkAnswer().dump(answer))
    response.headers["Cache-Control"] = "no-store"
    return response, 201


@blueprint.post("/<link_id>/revoke")
def revoke(link_id: str) -> ResponseReturnValue:
    """End a link: its next request is refused, and its open streams end."""
    me = signed_in()
    link = services().shared_links.revoke(link_id)
    services().shared_access.forget(link.id)
    logger.info("shared_link_revoked", extra={"link_id": link.id, "by": me.id})
    record(Event.SHARED_LINK_REVOKED, link.label)
    return jsonify(SharedLinkAnswer().dump(link))
