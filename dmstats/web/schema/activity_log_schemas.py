"""The activity log's query and answer."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.admins.activity_log import ActorKind, Event
from dmstats.web.schema.api_schemas import Moment, Strict, Text

CURSOR = r"\d{1,14}-[0-9a-f]{24}\Z"


class ActivityLogQuery(Strict):
    """``since`` and ``until`` are days in UTC, both included."""

    event = fields.String(load_default=None, validate=validate.OneOf([*Event]))
    who = Text(load_default="", validate=validate.Length(max=100))
    since = fields.Date(load_default=None)
    until = fields.Date(load_default=None)
    cursor = fields.String(load_default=None, validate=validate.Regexp(CURSOR))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))
    format = fields.String(load_default="json", validate=validate.OneOf(["json", "csv"]))


class LogEntryAnswer(Strict):
    """``from`` is the client's address, or the host that a command ran on."""

    at = Moment(required=True)
    event = fields.String(required=True)
    actorKind = fields.String(required=True, validate=validate.OneOf([*ActorKind]))
    actor = fields.String(required=True)
    from_ = fields.String(data_key="from", attribute="from", required=True)
    target = fields.String(required=True)
    details = fields.String(required=True)


class ActivityLogAnswer(Strict):
    entries = fields.List(fields.Nested(LogEntryAnswer), required=True)
    nextCursor = fields.String(required=True, allow_none=True)
