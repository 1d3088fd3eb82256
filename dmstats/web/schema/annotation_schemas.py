"""The requests and answers about annotations."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.annotations import MAX_TEXT_LENGTH, NOTE, VERSION
from dmstats.ops.annotations import INCIDENT, REPAIR
from dmstats.web.schema.api_schemas import Moment, Strict, Text, Zone, not_blank

KINDS = (NOTE, VERSION, INCIDENT, REPAIR)


class AnnotationsQuery(Strict):
    """As for the history: dates in ``tz``, or times as in RFC 3339; the last 30 days without."""

    from_ = Text(data_key="from", load_default=None, validate=validate.Length(max=40))
    to = Text(load_default=None, validate=validate.Length(max=40))
    tz = Zone(load_default=None, validate=validate.Length(max=100))


class NewNote(Strict):
    """``at``: a date in the installation's time zone, or a time as in RFC 3339; not to come."""

    at = Text(required=True, validate=validate.Length(max=40))
    text = Text(required=True, validate=[validate.Length(min=1, max=MAX_TEXT_LENGTH), not_blank])


class AnnotationAnswer(Strict):
    """``id`` of an ``incident`` is the incident's; ``author`` is null except for a ``note``,
    ``changedBy`` (who changed it last) except for one that was changed."""

    id = fields.String(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(KINDS))
    at = Moment(required=True)
    text = fields.String(required=True)
    author = fields.String(required=True, allow_none=True)
    changedBy = fields.String(required=True, allow_none=True)


class AnnotationsAnswer(Strict):
    """Oldest first. ``complete`` is false if there are more of a kind than one answer holds."""

    annotations = fields.List(fields.Nested(AnnotationAnswer), required=True)
    complete = fields.Boolean(required=True)
