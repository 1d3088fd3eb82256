"""Validates a request's query string or body with a schema; invalid input is a 400."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from flask import Request, g
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import BadRequest as UnreadableBody

from dmstats.core.errors import BadRequest

MAX_BODY = 16 * 1024


def check(schema: Schema, data: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` as ``schema`` reads it; raises :class:`BadRequest` naming each bad field."""
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise BadRequest(_sentence(error.messages)) from None
    return loaded


def parameters(schema: type[Schema], request: Request) -> dict[str, Any]:
    """The query string, validated; a name given twice is refused."""
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if twice:
        raise BadRequest(f"{', '.join(twice)}: given more than once.")
    return check(_instance(schema), request.args.to_dict())


def body(schema: type[Schema], request: Request, *, most: int = MAX_BODY) -> dict[str, Any]:
    """The JSON or form body, at most ``most`` bytes, validated.

    Raises :class:`NotSignedIn` or :class:`Forbidden` as :func:`body_has_arrived`.
    """
    request.max_content_length = most
    try:
        sent = request.get_json() if request.is_json else request.form.to_dict()
        body_has_arrived()
        return check(_instance(schema), sent)
    except (UnreadableBody, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def body_has_arrived() -> None:
    """Check again whether the requester may do this: a body may arrive seconds after the headers by
    which that was decided. Every view calls it once it has read a body."""
    g.get("still_allowed", lambda: None)()


@functools.cache
def _instance(schema: type[Schema]) -> Schema:
    """Creating one takes a tenth of the time of an API request; loading does not change it."""
    return schema()


def _sentence(messages: object) -> str:
    if not isinstance(messages, dict):
        return " ".join(str(item) for item in messages) if isinstance(messages, list) else ""
    parts = [f"{_name(key)}: {_sentence(value)}" for key, value in messages.items()]
    return " ".join(part.removeprefix("_schema: ") for part in parts)


def _name(key: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(key))[:50]
