"""Adds what a request did to the activity log."""

from __future__ import annotations

from flask import request

from dmstats.db.admins.activity_log import Actor, ActorKind, Event
from dmstats.db.admins.admin import Admin
from dmstats.web import services
from dmstats.web.auth.authenticator import current_identity
from dmstats.web.auth.client_address import client_address


def record(event: Event, target: str = "", details: str = "") -> None:
    """Add what the signed-in person, or the token, has done."""
    identity = current_identity()
    if identity.admin is not None:
        record_of(identity.admin, event, target, details)
    else:
        _add(ActorKind.TOKEN, identity.token_name, event, target, details)


def record_of(person: Admin, event: Event, target: str = "", details: str = "") -> None:
    """Add what ``person`` has done on a route that is open, such as the sign-in."""
    _add(ActorKind.PERSON, person.email, event, target, details)


def record_stranger(event: Event, target: str = "", details: str = "") -> None:
    """Add an attempt by an unknown person."""
    _add(ActorKind.STRANGER, "", event, target, details)


def _add(kind: ActorKind, name: str, event: Event, target: str, details: str) -> None:
    address = client_address(request.remote_addr or "")
    actor = Actor(kind, name, str(address) if address else "unknown")
    services().activity_log.add(event, actor, target, details)
