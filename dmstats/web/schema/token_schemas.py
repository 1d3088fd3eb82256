"""The requests and answers about API tokens."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.admins.scopes import Scope
from dmstats.web.schema.api_schemas import Moment, Strict, Text, not_blank

MAX_DAYS = 3660


class NewToken(Strict):
    """``days`` from now it ends."""

    name = Text(required=True, validate=[validate.Length(min=1, max=60), not_blank])
    scopes = fields.List(
        fields.Enum(Scope, by_value=True), required=True, validate=validate.Length(min=1, max=20)
    )
    days = fields.Integer(required=True, validate=validate.Range(min=1, max=MAX_DAYS))


class TokenAnswer(Strict):
    """``usedAt`` is noted at most once a minute; null before the first use."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), attribute="scope_names", required=True)
    madeBy = fields.String(attribute="made_by", required=True)
    createdAt = fields.String(attribute="created_at", required=True, allow_none=True)
    endsAt = Moment(attribute="ends_at", required=True)
    usedAt = Moment(attribute="used_at", required=True, allow_none=True)
    usedFrom = fields.String(attribute="used_from", required=True, allow_none=True)


class NewTokenAnswer(Strict):
    """``secret`` is what to send as a bearer token."""

    token = fields.Nested(TokenAnswer, required=True)
    secret = fields.String(required=True)


class TokensAnswer(Strict):
    tokens = fields.List(fields.Nested(TokenAnswer), required=True)
