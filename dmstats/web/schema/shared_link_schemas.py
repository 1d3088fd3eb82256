"""The requests and answers about shared links."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.admins.shared_links import Part
from dmstats.web.schema.api_schemas import Moment, Strict, Text, not_blank
from dmstats.web.schema.token_schemas import MAX_DAYS


class NewSharedLink(Strict):
    """``label`` is shown to everyone who opens the link; the link expires after ``days``."""

    label = Text(required=True, validate=[validate.Length(min=1, max=60), not_blank])
    parts = fields.List(
        fields.Enum(Part, by_value=True), required=True, validate=validate.Length(min=1, max=20)
    )
    days = fields.Integer(required=True, validate=validate.Range(min=1, max=MAX_DAYS))


class SharedLinkAnswer(Strict):
    id = fields.String(required=True)
    label = fields.String(required=True)
    parts = fields.List(fields.String(), attribute="part_names", required=True)
    madeBy = fields.String(attribute="made_by", required=True)
    createdAt = fields.String(attribute="created_at", required=True, allow_none=True)
    endsAt = Moment(attribute="ends_at", required=True)


class NewSharedLinkAnswer(Strict):
    """``address`` is what to give away."""

    link = fields.Nested(SharedLinkAnswer, required=True)
    address = fields.String(required=True)


class SharedLinksAnswer(Strict):
    links = fields.List(fields.Nested(SharedLinkAnswer), required=True)
