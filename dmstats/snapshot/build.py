"""Readings to what admins see; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, month_of, rfc3339, to_ms
from dmstats.core.time_zones import UTC, zone
from dmstats.db.dashboard.readings import HOURS as READ_HOURS
from dmstats.db.dashboard.readings import TOP, Readings
from dmstats.history.calendar import Calendar
from dmstats.snapshot import zoned
from dmstats.snapshot.previous_period import (
    MINUTE_MS,
    Counts,
    add,
    count,
    counts_of,
    history_start,
    minutes_before,
    month_so_far_before,
    population,
    today_before,
)

MINUTES, HOURS, DAYS = 60, 24, 30
RATE_MINUTES = 5
UTC_CALENDAR = Calendar(zone(UTC))

Snapshot = dict[str, Any]


def build(
    readings: Readings, now_ms: int, monthly_limit: int = 0, calendar: Calendar = UTC_CALENDAR
) -> Snapshot:
    """The snapshot's body, JSON-ready: all of it but version, age, staleness, source and cost.

    ``lastHour`` is the running minute and the 59 before it. ``perMinute`` is sent and received
    DMs a minute over the last five complete minutes. ``peakMinute`` is the minute with the most
    DMs sent of the last 24 hours (the later one of equals), None without any. ``before`` is the
    same part of the day or month before, and for minutes the same ones yesterday; None if that
    was before counting began, at ``since`` (None if long ago). ``monthly_limit`` is that of the
    accounts without one of their own, 0 for none. ``today``, ``month`` and the series of days are
    those of ``calendar``; all else is UTC's.
    """
    minutes = _minutes(readings.hours, now_ms)
    this_minute = now_ms - now_ms % MINUTE_MS
    recent = _series(minutes, this_minute, MINUTE_MS, MINUTES)
    complete = recent[-1 - RATE_MINUTES : -1]
    totals = readings.totals
    events = totals.get("events")
    last_event = totals.get("lastEventAt")
    active = max(0, readings.accounts - readings.inactive)
    before = minutes_before(minutes, readings, this_minute - MINUTE_MS, RATE_MINUTES)
    since = history_start(readings)
    snapshot: Snapshot = {
        "computedAt": rfc3339(now_ms),
        "timeZone": calendar.zone.key,
        "totalDMsSent": count(totals.get("dmsSent")),
        "totalDMsReceived": count(totals.get("dmsReceived")),
        "totalUsers": readings.users,
        "totalAccounts": readings.accounts,
        "activeAccounts": active,
        "month": {
            "month": month_of(now_ms),
            **_pair(_month(readings.days, now_ms)),
            "before": _before(month_so_far_before(readings, now_ms)),
        },
        "today": {
            **_pair(counts_of(readings.days.get(day_start(now_ms)))),
            "before": _before(today_before(readings, now_ms)),
        },
        "lastHour": {
            **_pair(add((point["sent"], point["received"]) for point in recent)),
            "before": _before(minutes_before(minutes, readings, this_minute, MINUTES)),
        },
        "perMinute": round(sum(p["sent"] + p["received"] for p in complete) / RATE_MINUTES, 2),
        "perMinuteBefore": None if before is None else round(sum(before) / RATE_MINUTES, 2),
        "peakMinute": _peak(minutes, this_minute),
        "events": {kind: count(n) for kind, n in events.items()}
        if isinstance(events, Mapping)
        else {},
        "duplicates": count(totals.get("duplicates")),
        "rejected": count(totals.get("rejected")),
        "late": count(totals.get("late")),
        "series": {
            "minutes": recent,
            "hours": _series(
                {at: counts_of(hour) for at, hour in readings.hours.items()},
                hour_start(now_ms), HOUR_MS, HOURS,
            ),
            "days": _series(
                {at: counts_of(day) for at, day in readings.days.items()},
                day_start(now_ms), DAY_MS, DAYS,
            ),
        },
        "topAccounts": [
            _account(account, month_of(now_ms), monthly_limit) for account in readings.top
        ],
        "population": [
            {"at": rfc3339(at), "activeAccounts": accounts, "users": users}
            for at, (accounts, users) in population(
                readings.population, now_ms, active, readings.users
            ).items()
        ],
        "since": None if since is None else rfc3339(since),
        "lastEventAt": _moment(last_event),
        "audit": _audit(readings.audit),
        "canary": _canary(totals.get("canaryAt"), readings.canary or {}, now_ms),
    }  # fmt: skip
    if not calendar.is_utc:
        own = zoned.figures(readings, now_ms, calendar)
        snapshot["series"]["days"] = own.pop("days")
        snapshot |= own
    return snapshot


def floor_of(readings: Readings) -> int:
    """DMs sent of the last of a full list of top accounts, 0 when the list is not full."""
    return count(readings.top[-1].get("dmUsed")) if len(readings.top) == TOP else 0


def _minutes(hours: Mapping[int, Mapping[str, Any]], now_ms: int) -> dict[int, Counts]:
    """Every recent minute that has counts, up to now: events ahead of the clock wait for their
    time. Hours of last month were read for their sums."""
    return {
        start: counts_of(counts)
        for hour, bucket in hours.items()
        if now_ms - hour < READ_HOURS * HOUR_MS
        for minute, counts in (bucket.get("minutes") or {}).items()
        if (start := hour + int(minute) * MINUTE_MS) <= now_ms
    }


def _series(counts: Mapping[int, Counts], last: int, step: int, number: int) -> list[Snapshot]:
    """``number`` points up to ``last``, oldest first; gaps are zeros."""
    points = (
        (at, counts.get(at, (0, 0))) for at in range(last - (number - 1) * step, last + 1, step)
    )
    return [
        {"at": rfc3339(at), "sent": sent, "received": received} for at, (sent, received) in points
    ]


def _pair(counts: Counts) -> Snapshot:
    return {"sent": counts[0], "received": counts[1]}


def _before(counts: Counts | None) -> Snapshot | None:
    return None if counts is None else _pair(counts)


def _month(days: Mapping[int, Mapping[str, Any]], now_ms: int) -> Counts:
    month, today = month_of(now_ms), day_start(now_ms)
    return add(counts_of(d) for at, d in days.items() if at <= today and month_of(at) == month)


def _peak(minutes: Mapping[int, Counts], this_minute: int) -> Snapshot | None:
    day = [(sent, at) for at, (sent, _) in minutes.items() if this_minute - DAY_MS < at and sent]
    if not day:
        return None
    sent, at = max(day)
    return {"at": rfc3339(at), "sent": sent}


def limit_of(account: Mapping[str, Any], default: int) -> int | None:
    """An account's monthly limit: its own (0 is one), else the ``default`` unless that is 0."""
    limit = account.get("monthlyDmLimit")
    return (default or None) if limit is None else count(limit)


def _account(account: Mapping[str, Any], month: str, monthly_limit: int) -> Snapshot:
    """What an account used in an earlier month is not this month's use."""
    over = (account.get("currentMonth") or month) < month
    return {
        "instagramId": str(account.get("instagramId", "")),
        "username": account.get("username"),
        "dmUsed": count(account.get("dmUsed")),
        "monthlyDmUsed": 0 if over else count(account.get("monthlyDmUsed")),
        "monthlyDmLimit": limit_of(account, monthly_limit),
        "lastDMSent": _moment(account.get("lastDMSent")),
    }


def _moment(value: object) -> str | None:
    return rfc3339(to_ms(value)) if isinstance(value, datetime) else None


def _audit(audit: Mapping[str, Any] | None) -> Snapshot | None:
    at = _moment(audit.get("at")) if audit else None
    return {"at": at, "drift": count(audit.get("drift"))} if audit and at else None


def _canary(at: object, shown: Mapping[str, Any], now_ms: int) -> Snapshot | None:
    """The newest canary that was counted, and how long the last one took that came back."""
    if not isinstance(at, datetime) or now_ms - to_ms(at) > DAY_MS:
        return None
    stages = ("countedMs", "streamedMs", "shownMs")
    return {"at": rfc3339(to_ms(at)), **{stage: shown.get(stage) for stage in stages}}
