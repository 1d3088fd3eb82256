"""Schemas for documentation only: requests and answers that marshmallow does not process."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields

from dmstats.web.schema.api_schemas import AdminAnswer, Moment, Strict, count


class Handshake(Strict):
    hub_mode = fields.String(data_key="hub.mode", required=True)
    hub_verify_token = fields.String(data_key="hub.verify_token", required=True)
    hub_challenge = fields.String(data_key="hub.challenge", required=True)


class StreamQuery(Strict):
    last_event_id = fields.String()


class DeliveryAnswer(Strict):
    """The outcome of one delivery."""

    sent = count()
    received = count()
    other = count()
    duplicates = count()
    ignored = count()
    rejected = count()


class TrafficAnswer(Strict):
    """All null while deliveries arrive and are acknowledged. Meta may disable a webhook that keeps
    failing until ``disabledAt``."""

    failingSince = Moment(required=True, allow_none=True)
    disabledAt = Moment(required=True, allow_none=True)
    silentSince = Moment(required=True, allow_none=True)
    silence = fields.String(required=True, allow_none=True)


class AdminsAnswer(Strict):
    admins = fields.List(fields.Nested(AdminAnswer), required=True)
    you = fields.String(required=True)


class HealthSchema(Strict):
    """``failing`` names the component that fails."""

    status = fields.String(required=True)
    failing = fields.String()
    detail = fields.String()


class Problem(Strict):
    """RFC 9457."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
