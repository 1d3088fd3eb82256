"""What a snapshot holds, as types: only what has this shape is stored, served or taken over."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
"""RFC 3339 in UTC."""
Count = int | None
"""None where the counter cannot be read."""


class Pair(msgspec.Struct):
    sent: int
    received: int


class Span(msgspec.Struct):
    sent: Count
    received: Count
    before: Pair | None


class Month(Span):
    month: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d$")]


class Peak(msgspec.Struct):
    at: Moment
    sent: int


class Point(msgspec.Struct):
    at: Moment
    sent: Count
    received: Count


class Series(msgspec.Struct):
    minutes: Annotated[list[Point], msgspec.Meta(min_length=60, max_length=60)]
    hours: Annotated[list[Point], msgspec.Meta(min_length=24, max_length=24)]
    days: Annotated[list[Point], msgspec.Meta(min_length=30, max_length=30)]


class TopAccount(msgspec.Struct):
    instagramId: str
    username: str | None
    dmUsed: Count
    monthlyDmUsed: Count
    monthlyDmLimit: int | None
    lastDMSent: Moment | None


class PopulationDay(msgspec.Struct):
    at: Moment
    activeAccounts: int
    users: int


class AuditDone(msgspec.Struct):
    at: Moment
    drift: int


class Canary(msgspec.Struct):
    at: Moment
    countedMs: float | None
    streamedMs: float | None
    shownMs: float | None


class Cost(msgspec.Struct):
    computeMs: float
    dbQueries: int


class Body(msgspec.Struct, kw_only=True):
    """A snapshot without its version; ``web.schema.snapshot_schema`` documents it.

    What another release adds is let through; what it leaves out is not.
    """

    computedAt: Moment
    timeZone: str = "UTC"
    totalDMsSent: Count
    totalDMsReceived: Count
    totalUsers: int
    totalAccounts: int
    activeAccounts: int
    month: Month
    today: Span
    lastHour: Span
    perMinute: Annotated[float, msgspec.Meta(ge=0)]
    perMinuteBefore: Annotated[float, msgspec.Meta(ge=0)] | None
    peakMinute: Peak | None
    events: dict[str, Count]
    duplicates: Count
    rejected: Count
    late: Count
    series: Series
    topAccounts: Annotated[list[TopAccount], msgspec.Meta(max_length=10)]
    population: Annotated[list[PopulationDay], msgspec.Meta(min_length=1, max_length=32)]
    since: Moment | None
    lastEventAt: Moment | None
    audit: AuditDone | None
    canary: Canary | None
    refresh: Cost


def check(body: Mapping[str, Any]) -> Body:
    """``body`` as its types; raises :class:`msgspec.ValidationError` if a field is missing, or of
    another type."""
    return msgspec.convert(body, Body)
