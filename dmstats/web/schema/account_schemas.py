"""The queries and answers of the list of accounts."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.dashboard.state_directory import ALL_SORTS
from dmstats.db.states.state_record import State
from dmstats.web.schema.api_schemas import AccountAnswer, Moment, Strict, Text, platform_count


class AccountFilterQuery(Strict):
    """``hasLimit``: whether a monthly limit holds for the account."""

    query = Text(load_default="", validate=validate.Length(max=100))
    state = fields.Enum(State, by_value=True, load_default=None)
    active = fields.Boolean(load_default=None)
    hasLimit = fields.Boolean(load_default=None)


class AccountsQuery(AccountFilterQuery):
    sort = fields.String(
        load_default=None,
        validate=validate.OneOf([sign + name for name in ALL_SORTS for sign in ("", "-")]),
    )
    cursor = Text(load_default=None, validate=validate.Length(max=4000))
    limit = fields.Integer(load_default=50, validate=validate.Range(min=1, max=200))


class AccountExportQuery(AccountFilterQuery):
    format = fields.String(load_default="csv", validate=validate.OneOf(["csv", "json"]))


class AccountTotalsAnswer(Strict):
    """The sums of all accounts of a list, as of ``at``; ``monthlyDmUsed`` is null in the minutes
    after a month has begun."""

    at = Moment(required=True)
    accounts = fields.Integer(required=True)
    monthlyDmUsed = platform_count()
    dmUsed = platform_count()
    dmReceived = platform_count()


class AccountsAnswer(Strict):
    """``complete`` is false if a search has more matches than it examined. ``totals`` are of all
    that a search examined or a filter lets through, null before the first pass over the accounts.
    """

    accounts = fields.List(fields.Nested(AccountAnswer), required=True)
    nextCursor = fields.String(required=True, allow_none=True)
    complete = fields.Boolean(required=True)
    totals = fields.Nested(AccountTotalsAnswer, required=True, allow_none=True)
