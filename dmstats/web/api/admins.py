"""The people who can sign in, for admins: list, add, change role or password, disable."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.errors import Forbidden
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.password_link import Link
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.password_links import deliver
from dmstats.web.auth.recording import record
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

LOGGED = {
    Event.PERSON_ADDED: "admin_added",
    Event.PERSON_INVITED: "admin_invited",
    Event.LINK_MADE: "link_made",
    Event.ROLE_CHANGED: "role_changed",
    Event.PERSON_DISABLED: "admin_disabled",
    Event.PERSON_ENABLED: "admin_enabled",
    Event.SIGNED_OUT_EVERYWHERE: "admin_signed_out",
    Event.PASSWORD_CHANGED: "admin_password_changed",
    Event.SECOND_FACTOR_REMOVED: "second_factor_removed",
}
"""The names of these events in the service's own log."""


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """All admins."""
    me = signed_in()
    admins = AdminAnswer(many=True).dump(services().admins.list())
    return jsonify({"admins": admins, "you": me.id})


@blueprint.post("")
def add() -> ResponseReturnValue:
    """Add a person who can sign in at once."""
    me = signed_in()
    asked = body(NewAdmin, request)
    return _changed(Event.PERSON_ADDED, me, services().admins.create(**asked)), 201


@blueprint.post("/invite")
def invite() -> ResponseReturnValue:
    """Add a person who chooses a password with a link."""
    me = signed_in()
    asked = body(Invitation, request)
    return _delivered(Event.PERSON_INVITED, me, *services().admins.invite(**asked)), 201


@blueprint.post("/<admin_id>/link")
def make_link(admin_id: str) -> ResponseReturnValue:
    """A link by which an admin chooses a new password, given one's own password."""
    me = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(me, asked["currentPassword"])
    return _delivered(Event.LINK_MADE, me, *services().admins.make_link(admin_id))


@blueprint.post("/<admin_id>/role")
def set_role(admin_id: str) -> ResponseReturnValue:
    """Change a person's role, which ends their sessions, except for the last admin's.

    Setting the current role changes nothing.
    """
    me = signed_in()
    asked = body(NewRole, request)
    before = services().admins.get(admin_id)
    if before.role is asked["role"]:
        return jsonify(AdminAnswer().dump(before))
    changed = services().admins.set_role(admin_id, asked["role"])
    if changed.id == me.id:
        services().authenticator.resume(changed)
    return _changed(Event.ROLE_CHANGED, me, changed)


@blueprint.post("/<admin_id>/disable")
def disable(admin_id: str) -> ResponseReturnValue:
    """Disable another person. Admins cannot disable themselves, so that one always remains."""
    me = signed_in()
    if services().admins.get(admin_id).id == me.id:  # an id may also be written in capitals
        raise Forbidden("You cannot disable yourself; ask another admin.")
    return _changed(
        Event.PERSON_DISABLED, me, services().admins.set_disabled(admin_id, disabled=True)
    )


@blueprint.post("/<admin_id>/enable")
def enable(admin_id: str) -> ResponseReturnValue:
    """Let an admin in again."""
    me = signed_in()
    return _changed(
        Event.PERSON_ENABLED, me, services().admins.set_disabled(admin_id, disabled=False)
    )


@blueprint.post("/<admin_id>/sign-out")
def sign_out_everywhere(admin_id: str) -> ResponseReturnValue:
    """End all sessions of an admin, one's own among them if it is oneself."""
    me = signed_in()
    return _changed(
        Event.SIGNED_OUT_EVERYWHERE, me, services().admins.sign_out_everywhere(admin_id)
    )


@blueprint.post("/<admin_id>/password")
def change_password(admin_id: str) -> ResponseReturnValue:
    """Set an admin's password, given one's own; that admin's other sessions end."""
    me = signed_in()
    asked = body(NewPassword, request)
    authenticator = services().authenticator
    authenticator.confirm(me, asked["currentPassword"])
    changed = services().admins.change_password(admin_id, asked["password"])
    if changed.id == me.id:
        authenticator.resume(changed)
    return _changed(Event.PASSWORD_CHANGED, me, changed)


@blueprint.post("/<admin_id>/remove-second-factor")
def remove_second_factor(admin_id: str) -> ResponseReturnValue:
    """Let a person who has lost phone, recovery codes and passkeys sign in with the password only.
    Needs the admin's own password; ends all sessions of that person."""
    me = signed_in()
    asked = body(LinkRequest, request)
    services().authenticator.confirm(me, asked["currentPassword"])
    services().second_factors.remove(admin_id)
    services().passkeys.remove_all(admin_id)
    changed = services().admins.sign_out_everywhere(admin_id)
    return _changed(Event.SECOND_FACTOR_REMOVED, me, changed)


def _delivered(event: Event, by: Admin, admin: Admin, link: Link) -> Response:
    base = services().settings.public_url or request.url_root
    delivery = deliver(admin, link, base, services().mailer)
    extra = {"admin": admin.id, "by": by.id, "mailed": delivery.mailed}
    logger.info(LOGGED[event], extra=extra)
    record(event, admin.email, str(admin.role) if event is Event.PERSON_INVITED else "")
    return jsonify(LinkAnswer().dump(delivery))


def _changed(event: Event, by: Admin, admin: Admin) -> Response:
    logger.info(LOGGED[event], extra={"admin": admin.id, "by": by.id})
    told = event in (Event.PERSON_ADDED, Event.ROLE_CHANGED)
    record(event, admin.email, str(admin.role) if told else "")
    return jsonify(AdminAnswer().dump(admin))
