"""The people who may sign in, for admins: list, add, change role or password, shut out."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import Forbidden
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.password_link import Link
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.password_links import deliver
from dmstats.web.schema.api_schemas import (
    AdminAnswer,
    Invitation,
    LinkAnswer,
    LinkRequest,
    NewAdmin,
    NewPassword,
    NewRole,
)
from dmstats.web.schema.validation import body

blueprint = Blueprint("team", __name__, url_prefix="/api/admin/admins")
logger = logging.getLogger(__name__)


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """All admins."""
    me = signed_in()
    admins = AdminAnswer(many=True).dump(services().admins.list())
    return jsonify({"admins": admins, "you": me.id})


@blueprint.post("")
def add() -> ResponseReturnValue:
    """A new admin, who can sign in at once."""
    me = signed_in()
    asked = body(NewAdmin(), request)
    return _changed("admin_added", me, services().admins.create(**asked)), 201


@blueprint.post("/invite")
def invite() -> ResponseReturnValue:
    """A new admin, who chooses a password by a link."""
    me = signed_in()
    asked = body(Invitation(), request)
    return _delivered("admin_invited", me, *services().admins.invite(**asked)), 201


@blueprint.post("/<admin_id>/link")
def make_link(admin_id: str) -> ResponseReturnValue:
    """A link by which an admin chooses a new password, given one's own password."""
    me = signed_in()
    asked = body(LinkRequest(), request)
    services().authenticator.confirm(me, asked["currentPassword"])
    return _delivered("link_made", me, *services().admins.make_link(admin_id))


@blueprint.post("/<admin_id>/role")
def set_role(admin_id: str) -> ResponseReturnValue:
    """Give somebody another role, which ends their sessions; the last admin stays one."""
    me = signed_in()
    asked = body(NewRole(), request)
    changed = services().admins.set_role(admin_id, asked["role"])
    if changed.id == me.id:
        services().authenticator.resume(changed)
    return _changed("role_changed", me, changed)


@blueprint.post("/<admin_id>/disable")
def disable(admin_id: str) -> ResponseReturnValue:
    """Shut another admin out; oneself not, so that somebody is always left."""
    me = signed_in()
    if admin_id == me.id:
        raise Forbidden("You cannot disable yourself; ask another admin.")
    return _changed("admin_disabled", me, services().admins.set_disabled(admin_id, disabled=True))


@blueprint.post("/<admin_id>/enable")
def enable(admin_id: str) -> ResponseReturnValue:
    """Let an admin in again."""
    me = signed_in()
    return _changed("admin_enabled", me, services().admins.set_disabled(admin_id, disabled=False))


@blueprint.post("/<admin_id>/sign-out")
def sign_out_everywhere(admin_id: str) -> ResponseReturnValue:
    """End all sessions of an admin, one's own among them if it is oneself."""
    me = signed_in()
    return _changed("admin_signed_out", me, services().admins.sign_out_everywhere(admin_id))


@blueprint.post("/<admin_id>/password")
def change_password(admin_id: str) -> ResponseReturnValue:
    """Set an admin's password, given one's own; that admin's other sessions end."""
    me = signed_in()
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
