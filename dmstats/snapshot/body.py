"""The snapshot's schema: only data that matches it is stored, cached or served."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Moment = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
"""RFC 3339 in UTC."""
Count = int | None
"""None if the counter cannot be read."""


class DirectionCounts(msgspec.Struct):
    sent: int
    received: int


class PeriodFigures(msgspec.Struct):
    sent: Count
    received: Count
    before: DirectionCounts | None


class MonthFigures(PeriodFigures):
    month: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d$")]


class PeakMinute(msgspec.Struct):
    at: Moment
    sent: int


class SeriesPoint(msgspec.Struct):
    at: Moment
    sent: Count
    received: Count


class TimeSeries(msgspec.Struct):
    minutes: Annotated[list[SeriesPoint], msgspec.Meta(min_length=60, max_length=60)]
    hours: Annotated[list[SeriesPoint], msgspec.Meta(min_length=24, max_length=24)]
    days: Annotated[list[SeriesPoint], msgspec.Meta(min_length=30, max_length=30)]


class TopAccountFigures(msgspec.Struct):
    instagramId: str
    username: str | None
    dmUsed: Count
    monthlyDmUsed: Count
    monthlyDmLimit: int | None
    lastDMSent: Moment | None


class PopulationFigures(msgspec.Struct):
    at: Moment
    activeAccounts: int
    users: int


class LastAudit(msgspec.Struct):
    at: Moment
    drift: int


class AccountStates(msgspec.Struct):
    at: Moment
    counts: dict[str, int]


class LastCanary(msgspec.Struct):
    at: Moment
    countedMs: float | None
    streamedMs: float | None
    shownMs: float | None


class ComputeCost(msgspec.Struct):
    computeMs: float
    dbQueries: int


class SnapshotBody(msgspec.Struct, kw_only=True):
    """A snapshot without its version; documented in ``web.schema.snapshot_schema``.

    Unknown fields (of a newer release) are accepted; missing fields are not.
    """

    computedAt: Moment
    timeZone: str = "UTC"
    totalDMsSent: Count
    totalDMsReceived: Count
    totalUsers: int
    totalAccounts: int
    activeAccounts: int
    month: MonthFigures
    today: PeriodFigures
    lastHour: PeriodFigures
    perMinute: Annotated[float, msgspec.Meta(ge=0)]
    perMinuteBefore: Annotated[float, msgspec.Meta(ge=0)] | None
    peakMinute: PeakMinute | None
    events: dict[str, Count]
    duplicates: Count
    rejected: Count
    late: Count
    series: TimeSeries
    topAccounts: Annotated[list[TopAccountFigures], msgspec.Meta(max_length=10)]
    population: Annotated[list[PopulationFigures], msgspec.Meta(min_length=1, max_length=32)]
    since: Moment | None
    lastEventAt: Moment | None
    audit: LastAudit | None
    canary: LastCanary | None
    accountStates: AccountStates | None = None
    refresh: ComputeCost


def check(body: Mapping[str, Any]) -> SnapshotBody:
    """Validate ``body``; raises :class:`msgspec.ValidationError` if a field is missing or has the
    wrong type."""
    return msgspec.convert(body, SnapshotBody)
