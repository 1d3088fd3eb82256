"""The admins among themselves: list, add, shut out, let in again, change a password."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import Forbidden
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.password_link import Link
from dmstats.web import services
from dmstats.web.auth.authenticator import require_admin, require_session
from dmstats.web.auth.password_links import deliver
from dmstats.web.schema.api_schemas import (
    AdminAnswer,
    Invitation,
    LinkAnswer,
    LinkRequest,
    NewAdmin,
    NewPassword,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("team", __name__, url_prefix="/api/admin/admins")
logger = logging.getLogger(__name__)


@blueprint.get("")
@require_admin
def listing() -> ResponseReturnValue:
    """All admins."""
    me = require_session()
    admins = AdminAnswer(many=True).dump(services().admins.list())
    return jsonify({"admins": admins, "you": me.id})


@blueprint.post("")
@require_admin
def add() -> ResponseReturnValue:
    """A new admin, who can sign in at once."""
    me = require_session()
    asked = body(NewAdmin(), request)
    return _changed("admin_added", me, services().admins.create(**asked)), 201


@blueprint.post("/invite")
@require_admin
def invite() -> ResponseReturnValue:
    """A new admin, who chooses a password by a link."""
    me = require_session()
    asked = body(Invitation(), request)
    return _delivered("admin_invited", me, *services().admins.invite(**asked)), 201


@blueprint.post("/<admin_id>/link")
@require_admin
def make_link(admin_id: str) -> ResponseReturnValue:
    """A link by which an admin chooses a new password, given one's own password."""
    me = require_session()
    asked = body(LinkRequest(), request)
    services().authenticator.confirm(me, asked["currentPassword"])
    return _delivered("link_made", me, *services().admins.make_link(admin_id))


@blueprint.post("/<admin_id>/disable")
@require_admin
def disable(admin_id: str) -> ResponseReturnValue:
    """Shut another admin out; oneself not, so that somebody is always left."""
    me = require_session()
    if admin_id == me.id:
        raise Forbidden("You cannot disable yourself; ask another admin.")
    return _changed("admin_disabled", me, services().admins.set_disabled(admin_id, disabled=True))


@blueprint.post("/<admin_id>/enable")
@require_admin
def enable(admin_id: str) -> ResponseReturnValue:
    """Let an admin in again."""
    me = require_session()
    return _changed("admin_enabled", me, services().admins.set_disabled(admin_id, disabled=False))


@blueprint.post("/<admin_id>/sign-out")
@require_admin
def sign_out_everywhere(admin_id: str) -> ResponseReturnValue:
    """End all sessions of an admin, one's own among them if it is oneself."""
    me = require_session()
    return _changed("admin_signed_out", me, services().admins.sign_out_everywhere(admin_id))


@blueprint.post("/<admin_id>/password")
@require_admin
def change_password(admin_id: str) -> ResponseReturnValue:
    """Set an admin's password, given one's own; that admin's other sessions end."""
    me = require_session()
    asked = body(NewPassword(), request)
    authenticator = services().authenticator
    authenticator.confirm(me, asked["currentPassword"])
    changed = services().admins.change_password(admin_id, asked["password"])
    if changed.id == me.id:
        authenticator.resume(changed)
    return _changed("admin_password_changed", me, changed)


def _delivered(event: str, by: Admin, admin: Admin, link: Link) -> Response:
    base = services().settings.public_url or request.url_root
    delivery = deliver(admin, link, base, services().mailer)
    logger.info(event, extra={"admin": admin.id, "by": by.id, "mailed": delivery.mailed})
    return jsonify(LinkAnswer().dump(delivery))


def _changed(event: str, by: Admin, admin: Admin) -> Response:
    logger.info(event, extra={"admin": admin.id, "by": by.id})
    return jsonify(AdminAnswer().dump(admin))
