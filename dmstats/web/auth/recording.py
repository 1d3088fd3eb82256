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
    services().activity_log.add(event, requester(), target, details)


def requester() -> Actor:
    """The signed-in person, or the token, behind the request."""
    identity = current_identity()
    if identity.admin is not None:
        return _actor(ActorKind.PERSON, identity.admin.email)
    return _actor(ActorKind.TOKEN, identity.token_name)


def record_of(person: Admin, event: Event, target: str = "", details: str = "") -> None:
    """Add what ``person`` has done on a route that is open, such as the sign-in."""
    services().activity_log.add(event, _actor(ActorKind.PERSON, person.email), target, details)


def record_stranger(event: Event, target: str = "", details: str = "") -> None:
    """Add an attempt by an unknown person."""
    services().activity_log.add(event, _actor(ActorKind.STRANGER, ""), target, details)


def _actor(kind: ActorKind, name: str) -> Actor:
    address = client_address(request.remote_addr or "")
    return Actor(kind, name, str(address) if address else "unknown")
