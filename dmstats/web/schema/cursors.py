"""The opaque cursor of a paged answer: signed, so that only what we gave out comes back."""

from __future__ import annotations

from typing import cast

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from dmstats.core.errors import BadRequest, ConfigError
from dmstats.db.dashboard.account_directory import Position, Value

SALT = "accounts-cursor"


def encode(position: Position | None, *, sort: str, query: str) -> str | None:
    """The cursor for the page after ``position`` of this very list; None after the last."""
    if position is None:
        return None
    return str(_serializer().dumps([sort, query, position.value, position.instagram_id]))


def decode(cursor: str | None, *, sort: str, query: str) -> Position | None:
    """The position in ``cursor``; raises :class:`BadRequest` unless it is of this very list."""
    if not cursor:
        return None
    try:
        of_sort, of_query, value, instagram_id = _serializer().loads(cursor)
    except (BadSignature, UnicodeError):
        raise BadRequest("cursor: not one that this service gave out.") from None
    if (of_sort, of_query) != (sort, query):
        raise BadRequest("cursor: belongs to another query or sort; start again without it.")
    return Position(cast("Value", value), str(instagram_id))


def _serializer() -> URLSafeSerializer:
    key = current_app.secret_key
    if not key:
        raise ConfigError("SECRET_KEY: not set")
    return URLSafeSerializer(key, salt=SALT)
