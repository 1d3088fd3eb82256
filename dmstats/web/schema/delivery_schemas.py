"""The question and the answer about deliveries."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.delivery_store import KEPT
from dmstats.web.schema.api_schemas import Moment, Strict, count


class DeliveriesQuery(Strict):
    group = fields.String(load_default=None, validate=validate.OneOf([*KEPT]))
    limit = fields.Integer(load_default=100, validate=validate.Range(min=1, max=1000))


class RejectedEventSchema(Strict):
    """``path`` is that of the field that was not understood; ``account`` is null if unknown."""

    path = fields.String(required=True)
    kind = fields.String(required=True)
    account = fields.String(required=True, allow_none=True)


class DeliverySchema(Strict):
    """``kinds``: its events by kind; ``counts``: what was answered, empty unless it was 200."""

    group = fields.String(required=True, validate=validate.OneOf([*KEPT]))
    at = Moment(required=True)
    status = count()
    reason = fields.String(required=True, allow_none=True)
    bytes = count()
    entries = count()
    kinds = fields.Dict(keys=fields.String(), values=count(), required=True)
    counts = fields.Dict(keys=fields.String(), values=count(), required=True)
    ms = fields.Float(required=True)
    requestId = fields.String(required=True)
    rejected = fields.List(fields.Nested(RejectedEventSchema), required=True)


class EventNameSchema(Strict):
    """Events that are ``counted`` are counted as unknown; of others, ``name`` is the path of the
    field because of which they are rejected. ``keys`` are the names of their fields."""

    name = fields.String(required=True)
    counted = fields.Boolean(required=True)
    firstAt = Moment(required=True)
    lastAt = Moment(required=True)
    keys = fields.List(fields.String(), required=True)


class DeliveriesAnswer(Strict):
    """Newest first."""

    deliveries = fields.List(fields.Nested(DeliverySchema), required=True)
    names = fields.List(fields.Nested(EventNameSchema), required=True)
