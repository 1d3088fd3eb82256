"""The requests and answers about changes of accounts."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

import re
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from dmstats.db.account_edits import EDITABLE, ID
from dmstats.web.schema.api_schemas import Strict, Text, count

MAX_NAME_LENGTH = 100
NAME = re.compile(r"[a-z0-9._]+")
"""Instagram's names; so none is a formula in a spreadsheet, either."""
MAX_LIMIT = 1_000_000_000


def normal_name(name: str) -> str:
    """``name`` as Instagram writes it, which the search expects: lower case, without an ``@``."""
    return name.strip().removeprefix("@").lower()


def _is_a_name(name: str) -> None:
    if not normal_name(name):
        raise ValidationError("Must not be empty; null removes the name.")
    if not NAME.fullmatch(normal_name(name)):
        raise ValidationError("May only contain the letters a to z, digits, dots and underscores.")


class AccountPatch(Strict):
    """What is left out stays; null removes the name or the limit."""

    username = Text(
        allow_none=True, validate=[validate.Length(min=1, max=MAX_NAME_LENGTH), _is_a_name]
    )
    monthlyDmLimit = fields.Integer(
        strict=True, allow_none=True, validate=validate.Range(min=0, max=MAX_LIMIT)
    )
    isActive = fields.Boolean(truthy={True}, falsy={False})

    @validates_schema
    def _changes_something(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError(f"Give one or more of {', '.join(EDITABLE)}.")

    @post_load
    def _normal(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if data.get("username"):
            data["username"] = normal_name(data["username"])
        return data


class ImportQuery(Strict):
    apply = Text(load_default=None, validate=validate.Length(max=64))


class ImportChange(Strict):
    """``before`` is null where the account has no value, or one that cannot be read."""

    line = count()
    instagramId = fields.String(attribute="account", data_key=ID, required=True)
    field = fields.String(required=True, validate=validate.OneOf(EDITABLE))
    before = fields.Raw(required=True, allow_none=True)
    after = fields.Raw(required=True, allow_none=True)


class ImportFault(Strict):
    line = count()
    problem = fields.String(required=True)


class ImportAnswer(Strict):
    """``changes`` and ``errors`` are the first ones; ``accounts`` counts those that change, or have
    been changed if ``applied``, ``failed`` the lines with an error. ``preview`` is what to send as
    ``apply``."""

    applied = fields.Boolean(required=True)
    accounts = count()
    unchanged = count()
    failed = count()
    changes = fields.List(fields.Nested(ImportChange), required=True)
    errors = fields.List(fields.Nested(ImportFault), required=True)
    preview = fields.String(required=True)
