"""The requests and answers about alert channels and rules."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from dmstats.core.setting_types import alert_urls
from dmstats.db.alerting import BY_HOUR, MAX_MINUTES, OUTSIDE, SENSES
from dmstats.ops.runbooks import RUNBOOKS
from dmstats.web.schema.api_schemas import Moment, Strict, Text, count, not_blank

KINDS = tuple(RUNBOOKS)
TIME = r"([01]\d|2[0-3]):[0-5]\d\Z"
MAX_THRESHOLD = 1e15


def _is_one_address(text: str) -> None:
    try:
        found = alert_urls(text)
    except ValueError as error:
        raise ValidationError(f"Must be {error}.") from None
    if len(found) != 1:
        raise ValidationError("Must be one address; create a channel for each address.")


class ChannelChange(Strict):
    """``incidents`` are kinds, null for all. Without ``url`` the address stays. ``quietFrom`` and
    ``quietTo`` are times of the day in the installation's time zone, or both null."""

    name = Text(required=True, validate=[validate.Length(min=1, max=60), not_blank])
    url = Text(load_default=None, validate=[validate.Length(min=1, max=2000), _is_one_address])
    incidents = fields.List(
        fields.String(validate=validate.OneOf(KINDS)),
        load_default=None, allow_none=True, validate=validate.Length(min=1, max=len(KINDS)),
    )  # fmt: skip
    quietFrom = Text(load_default=None, allow_none=True, validate=validate.Regexp(TIME))
    quietTo = Text(load_default=None, allow_none=True, validate=validate.Regexp(TIME))

    @validates_schema
    def _both_or_none(self, data: dict[str, Any], **_: Any) -> None:
        if (data.get("quietFrom") is None) != (data.get("quietTo") is None):
            raise ValidationError(
                "Set both the beginning and the end of the quiet hours, or neither.", "quietTo"
            )


class NewChannel(ChannelChange):
    """As for a change, with the address."""

    url = Text(required=True, validate=[validate.Length(min=1, max=2000), _is_one_address])


class ChannelAnswer(Strict):
    """The address is never answered: ``address`` is its scheme or host, null if it cannot be read
    since SECRET_KEY has changed. ``id`` is null for one of DMSTATS_ALERT_URL."""

    id = fields.String(required=True, allow_none=True)
    name = fields.String(required=True)
    address = fields.String(required=True, allow_none=True)
    incidents = fields.List(fields.String(), required=True, allow_none=True)
    quietFrom = fields.String(required=True, allow_none=True)
    quietTo = fields.String(required=True, allow_none=True)


class ChannelsAnswer(Strict):
    """``kinds`` are the incidents that a channel may choose, by kind and in words."""

    channels = fields.List(fields.Nested(ChannelAnswer), required=True)
    kinds = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    timeZone = fields.String(required=True)


class NewRule(Strict):
    """``figure`` is one of a snapshot, by its path; "sent" or "received" for what is expected of a
    full hour ("outside"). It has to hold for ``minutes``."""

    figure = Text(required=True, validate=validate.Length(min=1, max=100))
    sense = fields.String(required=True, validate=validate.OneOf(SENSES))
    threshold = fields.Float(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=-MAX_THRESHOLD, max=MAX_THRESHOLD),
    )
    minutes = fields.Integer(
        load_default=0, strict=True, validate=validate.Range(min=0, max=MAX_MINUTES)
    )

    @validates_schema
    def _fits(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("sense") == OUTSIDE:
            if data.get("figure") not in BY_HOUR:
                raise ValidationError(f"Must be one of: {', '.join(BY_HOUR)}.", "figure")
        elif data.get("threshold") is None:
            raise ValidationError("Missing data for required field.", "threshold")


class RuleAnswer(Strict):
    """``threshold`` is null for ``outside``; ``since`` is since when it holds, null if it does
    not."""

    id = fields.String(required=True)
    figure = fields.String(required=True)
    sense = fields.String(required=True, validate=validate.OneOf(SENSES))
    threshold = fields.Float(required=True, allow_none=True)
    minutes = count()
    since = Moment(required=True, allow_none=True)


class RulesAnswer(Strict):
    """``figures`` are those of the newest snapshot, with their values."""

    rules = fields.List(fields.Nested(RuleAnswer), required=True)
    figures = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
