"""What the history takes and answers."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from dmstats.history.account import ACCOUNT_RANGES, ACCOUNT_UNITS
from dmstats.history.calendar import UNITS, WEEK_STARTS
from dmstats.history.comparison import KINDS, NONE
from dmstats.history.ranges import MAX_POINTS, RANGES
from dmstats.web.schema.annotation_schemas import AnnotationAnswer
from dmstats.web.schema.api_schemas import Moment, Strict, Text, Zone, count

FORMATS = ("json", "csv")


class HistoryQuery(Strict):
    """``range`` or ``from`` and ``to``: a date in ``tz``, or a time as in RFC 3339."""

    range = fields.String(load_default=None, validate=validate.OneOf(RANGES))
    from_ = Text(data_key="from", load_default=None, validate=validate.Length(max=40))
    to = Text(load_default=None, validate=validate.Length(max=40))
    unit = fields.String(load_default=None, validate=validate.OneOf(UNITS))
    compare = fields.String(load_default=NONE, validate=validate.OneOf(KINDS))
    band = fields.Boolean(load_default=False)
    annotations = fields.Boolean(load_default=False)
    tz = Zone(load_default=None, validate=validate.Length(max=100))
    weekStart = fields.String(load_default=WEEK_STARTS[0], validate=validate.OneOf(WEEK_STARTS))
    format = fields.String(load_default=FORMATS[0], validate=validate.OneOf(FORMATS))

    @validates_schema
    def _one_range(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("range") and (data.get("from_") or data.get("to")):
            raise ValidationError("Give either range, or from and to.", "range")


class AccountHistoryQuery(HistoryQuery):
    """Of one account: without minutes, in UTC."""

    class Meta(HistoryQuery.Meta):
        exclude = ("tz",)

    range = fields.String(load_default=None, validate=validate.OneOf(ACCOUNT_RANGES))
    unit = fields.String(load_default=None, validate=validate.OneOf(ACCOUNT_UNITS))


class HistoryRange(Strict):
    """From ``from`` up to, but not with, ``to``. An ``open`` one ends with the running minute."""

    name = fields.String(required=True, allow_none=True)
    from_ = Moment(data_key="from", attribute="from", required=True)
    to = Moment(required=True)
    open_ = fields.Boolean(data_key="open", attribute="open", required=True)


class HistoryPair(Strict):
    sent = count()
    received = count()


class ComparedPoint(HistoryPair):
    at = Moment(required=True)


class HistoryPoint(ComparedPoint):
    """``partial``: not a whole bucket of its unit, as the range cuts it or it is not over."""

    partial_ = fields.Boolean(data_key="partial", attribute="partial")


class UnmatchedPoint(ComparedPoint):
    to = Moment(required=True)


class HistoryComparison(Strict):
    """``points`` stand beside those of the history, null for one without counterpart;
    ``unmatched`` are those that no point of the history is the counterpart of. ``totals`` has
    both."""

    kind = fields.String(required=True, validate=validate.OneOf(KINDS[1:]))
    from_ = Moment(data_key="from", attribute="from", required=True)
    to = Moment(required=True)
    points = fields.List(fields.Nested(ComparedPoint, allow_none=True), required=True)
    unmatched = fields.List(fields.Nested(UnmatchedPoint), required=True)
    totals = fields.Nested(HistoryPair, required=True)


class HistoryDifference(Strict):
    """The history's totals less the comparison's; per cents are null where there is no base."""

    sent = fields.Integer(strict=True, required=True)
    received = fields.Integer(strict=True, required=True)
    sentPercent = fields.Float(required=True, allow_none=True)
    receivedPercent = fields.Float(required=True, allow_none=True)


class ExpectedFigure(Strict):
    """Values from ``low`` to ``high`` are usual; ``outside`` is "above" or "below", or null."""

    median = count()
    low = count()
    high = count()
    outside = fields.String(
        required=True, allow_none=True, validate=validate.OneOf(["above", "below"])
    )


class ExpectedPoint(Strict):
    """``weeks``: of how many weeks it is."""

    weeks = count()
    sent = fields.Nested(ExpectedFigure, required=True)
    received = fields.Nested(ExpectedFigure, required=True)


class HistoryBand(Strict):
    """What was to be expected of each point, after the same time of the week in the 8 weeks before;
    null beside a partial point, and where fewer than 4 weeks were counted."""

    points = fields.List(fields.Nested(ExpectedPoint, allow_none=True), required=True)


class HistoryAnswer(Strict):
    """Points before ``since`` were not counted; null if nothing was yet. ``band`` is null unless it
    was asked for and the unit is hour or day; ``annotations`` are there if they were asked for."""

    range = fields.Nested(HistoryRange, required=True)
    unit = fields.String(required=True, validate=validate.OneOf(UNITS))
    tz = fields.String(required=True)
    weekStart = fields.String(required=True, validate=validate.OneOf(WEEK_STARTS))
    compare = fields.String(required=True, validate=validate.OneOf(KINDS))
    points = fields.List(
        fields.Nested(HistoryPoint),
        required=True,
        validate=validate.Length(min=1, max=MAX_POINTS),
    )
    totals = fields.Nested(HistoryPair, required=True)
    comparison = fields.Nested(HistoryComparison, required=True, allow_none=True)
    difference = fields.Nested(HistoryDifference, required=True, allow_none=True)
    band = fields.Nested(HistoryBand, required=True, allow_none=True)
    annotations = fields.List(fields.Nested(AnnotationAnswer))
    since = Moment(required=True, allow_none=True)
    computedAt = Moment(required=True)
