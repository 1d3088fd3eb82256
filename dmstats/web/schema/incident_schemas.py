"""The answers about incidents and alerts."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.web.schema.api_schemas import Moment, Strict, count


class AlertSchema(Strict):
    """A channel's notification that the incident began ("open") or ended ("over").

    Until it is sent, ``nextAt`` is the time of the next attempt; null after dmstats gave up.
    """

    channel = fields.String(required=True)
    state = fields.String(required=True, validate=validate.OneOf(["open", "over"]))
    toldAt = Moment(required=True, allow_none=True)
    nextAt = Moment(required=True, allow_none=True)
    attempts = count()
    problem = fields.String(required=True, allow_none=True)


class IncidentSchema(Strict):
    """``endedAt`` is null while it lasts."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    title = fields.String(required=True)
    text = fields.String(required=True)
    beganAt = Moment(required=True)
    endedAt = Moment(required=True, allow_none=True)
    alerts = fields.List(fields.Nested(AlertSchema), required=True)


class IncidentsAnswer(Strict):
    """Newest first. ``complete`` is false if there are more than one answer holds."""

    since = Moment(required=True)
    incidents = fields.List(fields.Nested(IncidentSchema), required=True)
    complete = fields.Boolean(required=True)
    channels = fields.List(fields.String(), required=True)


class RunbookSchema(Strict):
    """``section`` is the heading in docs/operations.md."""

    steps = fields.List(fields.String(), required=True)
    section = fields.String(required=True)


class IncidentAnswer(IncidentSchema):
    runbook = fields.Nested(RunbookSchema, required=True)


class TestedChannel(Strict):
    channel = fields.String(required=True)
    told = fields.Boolean(required=True)
    problem = fields.String(required=True, allow_none=True)


class AlertTestAnswer(Strict):
    channels = fields.List(fields.Nested(TestedChannel), required=True)
