"""Opaque pagination cursors, signed so that clients cannot forge them."""

from __future__ import annotations

import base64
import binascii
from typing import cast

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from dmstats.core.errors import BadRequest, ConfigError
from dmstats.db.dashboard.account_order import Position, Value

SALT = "accounts-cursor"


def encode(position: Position | None, *, sort: str, query: str) -> str | None:
    """The cursor for the page after ``position`` of this list; None after the last page."""
    if position is None:
        return None
    key = base64.b64encode(position.key).decode()
    place = [position.value, position.instagram_id, key, position.reread]
    return str(_serializer().dumps([sort, query, *place]))


def decode(cursor: str | None, *, sort: str, query: str) -> Position | None:
    """The position in ``cursor``; raises :class:`BadRequest` if it belongs to another list."""
    if not cursor:
        return None
    try:
        of_sort, of_query, value, instagram_id, key, reread = _serializer().loads(cursor)
        document = base64.b64decode(str(key))
    except (BadSignature, UnicodeError, ValueError, binascii.Error):
        raise BadRequest("cursor: invalid; it was not issued by this service.") from None
    if (of_sort, of_query) != (sort, query):
        raise BadRequest("cursor: belongs to another query or sort; start again without it.")
    return Position(cast("Value", value), str(instagram_id), document, bool(reread))


def _serializer() -> URLSafeSerializer:
    key = current_app.secret_key
    if not key:
        raise ConfigError("SECRET_KEY: not set")
    return URLSafeSerializer(key, salt=SALT)
