"""The public format of the snapshot, as marshmallow schemas."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.states.state_record import State
from dmstats.web.schema.api_schemas import MONTH, Moment, Strict, count, known_count, platform_count


class BucketSchema(Strict):
    """Null if the value in the database is unreadable."""

    at = Moment(required=True)
    sent = known_count()
    received = known_count()


class PeakSchema(Strict):
    at = Moment(required=True)
    sent = count()


class PairSchema(Strict):
    sent = count()
    received = count()


class SpanSchema(Strict):
    """``before`` is the same part of the day or month before; null from before counting began."""

    sent = known_count()
    received = known_count()
    before = fields.Nested(PairSchema, required=True, allow_none=True)


class MonthSchema(SpanSchema):
    month = fields.String(required=True, validate=validate.Regexp(MONTH))


class SeriesSchema(Strict):
    minutes = fields.List(
        fields.Nested(BucketSchema), required=True, validate=validate.Length(equal=60)
    )
    hours = fields.List(
        fields.Nested(BucketSchema), required=True, validate=validate.Length(equal=24)
    )
    days = fields.List(
        fields.Nested(BucketSchema), required=True, validate=validate.Length(equal=30)
    )


class PopulationDaySchema(Strict):
    """As the day began, or as it was first seen on that day."""

    at = Moment(required=True)
    activeAccounts = count()
    users = count()


class TopAccountSchema(Strict):
    instagramId = fields.String(required=True)
    username = fields.String(required=True, allow_none=True)
    dmUsed = platform_count()
    monthlyDmUsed = platform_count()
    monthlyDmLimit = fields.Integer(required=True, allow_none=True)
    lastDMSent = Moment(required=True, allow_none=True)


class Audit(Strict):
    at = Moment(required=True)
    drift = fields.Integer(strict=True, required=True)


class AccountStatesSchema(Strict):
    """The number of accounts in each state, as of the last pass over them."""

    at = Moment(required=True)
    counts = fields.Dict(
        keys=fields.String(validate=validate.OneOf([*State])), values=count(), required=True
    )


class CanarySchema(Strict):
    """``at``: when the newest one that was counted was sent; the rest is how long the last one took
    that came back: to its 200, from the refresh to the stream, and in all."""

    at = Moment(required=True)
    countedMs = fields.Float(required=True, allow_none=True)
    streamedMs = fields.Float(required=True, allow_none=True)
    shownMs = fields.Float(required=True, allow_none=True)


class RefreshCost(Strict):
    computeMs = fields.Float(required=True, validate=validate.Range(min=0))
    dbQueries = count()


class Snapshot(Strict):
    """The snapshot. Validated in tests only: the service sends the cached bytes unchanged."""

    version = fields.String(required=True, validate=validate.Regexp(r"\d+-\d+\Z"))
    computedAt = Moment(required=True)
    timeZone = fields.String(required=True)
    ageSeconds = fields.Float(required=True, validate=validate.Range(min=0))
    stale = fields.Boolean(required=True)
    source = fields.String(
        required=True, validate=validate.OneOf(["worker", "redis", "store", "computed"])
    )
    totalDMsSent = known_count()
    totalDMsReceived = known_count()
    totalUsers = count()
    totalAccounts = count()
    activeAccounts = count()
    month = fields.Nested(MonthSchema, required=True)
    today = fields.Nested(SpanSchema, required=True)
    lastHour = fields.Nested(SpanSchema, required=True)
    perMinute = fields.Float(required=True, validate=validate.Range(min=0))
    perMinuteBefore = fields.Float(required=True, allow_none=True, validate=validate.Range(min=0))
    peakMinute = fields.Nested(PeakSchema, required=True, allow_none=True)
    events = fields.Dict(keys=fields.String(), values=known_count(), required=True)
    duplicates = known_count()
    rejected = known_count()
    late = known_count()
    series = fields.Nested(SeriesSchema, required=True)
    topAccounts = fields.List(
        fields.Nested(TopAccountSchema), required=True, validate=validate.Length(max=10)
    )
    population = fields.List(
        fields.Nested(PopulationDaySchema), required=True, validate=validate.Length(min=1, max=32)
    )
    since = Moment(required=True, allow_none=True)
    lastEventAt = Moment(required=True, allow_none=True)
    audit = fields.Nested(Audit, required=True, allow_none=True)
    canary = fields.Nested(CanarySchema, required=True, allow_none=True)
    accountStates = fields.Nested(AccountStatesSchema, required=True, allow_none=True)
    refresh = fields.Nested(RefreshCost, required=True)
