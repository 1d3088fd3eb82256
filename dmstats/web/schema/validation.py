"""Validates a request's query string or body with a schema; invalid input is a 400."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Request
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


def parameters(schema: Schema, request: Request) -> dict[str, Any]:
    """The query string, validated; a name given twice is refused."""
    twice = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if twice:
        raise BadRequest(f"{', '.join(twice)}: given more than once.")
    return check(schema, request.args.to_dict())


def body(schema: Schema, request: Request, *, most: int = MAX_BODY) -> dict[str, Any]:
    """The JSON or form body, at most ``most`` bytes, validated."""
    request.max_content_length = most
    if not request.is_json:
        return check(schema, request.form.to_dict())
    try:
        return check(schema, request.get_json())
    except (UnreadableBody, RecursionError):
        raise BadRequest("The body is not JSON.") from None


def _sentence(messages: object) -> str:
    if not isinstance(messages, dict):
        return " ".join(str(item) for item in messages) if isinstance(messages, list) else ""
    parts = [f"{_name(key)}: {_sentence(value)}" for key, value in messages.items()]
    return " ".join(part.removeprefix("_schema: ") for part in parts)


def _name(key: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(key))[:50]
