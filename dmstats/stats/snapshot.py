"""Readings to what admins see; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dmstats.clock import DAY_MS, HOUR_MS, day_start, hour_start, month_of, rfc3339, to_ms
from dmstats.store.readings import TOP, Readings

MINUTE_MS = 60_000
MINUTES, HOURS, DAYS = 60, 24, 30
RATE_MINUTES = 5

Snapshot = dict[str, Any]
Counts = tuple[int, int]


def build(readings: Readings, now_ms: int) -> Snapshot:
    """The snapshot's body, JSON-ready: all of it but version, age, staleness, source and cost.

    ``lastHour`` is the running minute and the 59 before it. ``perMinute`` is sent and received
    DMs a minute over the last five complete minutes. ``peakMinute`` is the minute with the most
    DMs sent of the last 24 hours (the later one of equals), None without any.
    """
    minutes = _minutes(readings.hours, now_ms)
    this_minute = now_ms - now_ms % MINUTE_MS
    recent = _series(minutes, this_minute, MINUTE_MS, MINUTES)
    complete = recent[-1 - RATE_MINUTES : -1]
    totals = readings.totals
    events = totals.get("events")
    last_event = totals.get("lastEventAt")
    return {
        "computedAt": rfc3339(now_ms),
        "totalDMsSent": _count(totals.get("dmsSent")),
        "totalDMsReceived": _count(totals.get("dmsReceived")),
        "totalUsers": readings.users,
        "totalAccounts": readings.accounts,
        "activeAccounts": max(0, readings.accounts - readings.inactive),
        "month": {"month": month_of(now_ms), **_month(readings.days, now_ms)},
        "today": _span([_counts(readings.days.get(day_start(now_ms)))]),
        "lastHour": _span([(point["sent"], point["received"]) for point in recent]),
        "perMinute": round(sum(p["sent"] + p["received"] for p in complete) / RATE_MINUTES, 2),
        "peakMinute": _peak(minutes, this_minute),
        "events": {kind: _count(n) for kind, n in events.items()}
        if isinstance(events, Mapping)
        else {},
        "duplicates": _count(totals.get("duplicates")),
        "rejected": _count(totals.get("rejected")),
        "late": _count(totals.get("late")),
        "series": {
            "minutes": recent,
            "hours": _series(
                {at: _counts(hour) for at, hour in readings.hours.items()},
                hour_start(now_ms), HOUR_MS, HOURS,
            ),
            "days": _series(
                {at: _counts(day) for at, day in readings.days.items()},
                day_start(now_ms), DAY_MS, DAYS,
            ),
        },
        "topAccounts": [_account(account, month_of(now_ms)) for account in readings.top],
        "lastEventAt": _moment(last_event),
        "audit": _audit(readings.audit),
        "canary": _canary(totals.get("canaryAt"), readings.canary or {}, now_ms),
    }  # fmt: skip


def floor_of(readings: Readings) -> int:
    """DMs sent of the last of a full list of top accounts, 0 when the list is not full."""
    return _count(readings.top[-1].get("dmUsed")) if len(readings.top) == TOP else 0


def _count(value: object) -> int:
    """A counter as the store has it: missing counts as none, and a driver may give floats."""
    return int(value) if isinstance(value, int | float) else 0


def _counts(bucket: Mapping[str, object] | None) -> Counts:
    return (_count(bucket.get("sent")), _count(bucket.get("received"))) if bucket else (0, 0)


def _minutes(hours: Mapping[int, Mapping[str, Any]], now_ms: int) -> dict[int, Counts]:
    """Every minute that has counts, up to now: events ahead of the clock wait for their time."""
    return {
        start: _counts(counts)
        for hour, bucket in hours.items()
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


def _span(counts: list[Counts]) -> Snapshot:
    return {"sent": sum(sent for sent, _ in counts), "received": sum(got for _, got in counts)}


def _month(days: Mapping[int, Mapping[str, Any]], now_ms: int) -> Snapshot:
    month, today = month_of(now_ms), day_start(now_ms)
    return _span([_counts(d) for at, d in days.items() if at <= today and month_of(at) == month])


def _peak(minutes: Mapping[int, Counts], this_minute: int) -> Snapshot | None:
    day = [(sent, at) for at, (sent, _) in minutes.items() if this_minute - DAY_MS < at and sent]
    if not day:
        return None
    sent, at = max(day)
    return {"at": rfc3339(at), "sent": sent}


def _account(account: Mapping[str, Any], month: str) -> Snapshot:
    """What an account used in an earlier month is not this month's use."""
    over = (account.get("currentMonth") or month) < month
    limit = account.get("monthlyDmLimit")
    return {
        "instagramId": str(account.get("instagramId", "")),
        "username": account.get("username"),
        "dmUsed": _count(account.get("dmUsed")),
        "monthlyDmUsed": 0 if over else _count(account.get("monthlyDmUsed")),
        "monthlyDmLimit": None if limit is None else _count(limit),
        "lastDMSent": _moment(account.get("lastDMSent")),
    }


def _moment(value: object) -> str | None:
    return rfc3339(to_ms(value)) if isinstance(value, datetime) else None


def _audit(audit: Mapping[str, Any] | None) -> Snapshot | None:
    at = _moment(audit.get("at")) if audit else None
    return {"at": at, "drift": _count(audit.get("drift"))} if audit and at else None


def _canary(at: object, shown: Mapping[str, Any], now_ms: int) -> Snapshot | None:
    """The newest canary that was counted, and how long the last one took that came back."""
    if not isinstance(at, datetime) or now_ms - to_ms(at) > DAY_MS:
        return None
    stages = ("countedMs", "streamedMs", "shownMs")
    return {"at": rfc3339(to_ms(at)), **{stage: shown.get(stage) for stage in stages}}
