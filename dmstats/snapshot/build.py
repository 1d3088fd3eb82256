"""Computes the snapshot from the readings; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dmstats.core.clock import DAY_MS, HOUR_MS, MINUTE_MS, day_start, hour_start, month_of, rfc3339
from dmstats.core.time_zones import UTC, zone
from dmstats.db.dashboard.readings import HOURS as READ_HOURS
from dmstats.db.dashboard.readings import TOP, Readings
from dmstats.db.documents import EMPTY, STAGES, Account, AuditResult, Bucket, Hour, limit_of
from dmstats.db.states.summary import Summary
from dmstats.history.calendar import Calendar
from dmstats.snapshot import zoned
from dmstats.snapshot.previous_period import (
    Counts,
    add,
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
    """The snapshot's body, JSON-ready, without version, age, staleness, source and cost.

    ``lastHour`` is the current minute and the 59 before it. ``perMinute`` is sent and received
    DMs per minute over the last five complete minutes. ``peakMinute`` is the minute with the most
    DMs sent in the last 24 hours (of equals the latest), None if there is none. ``before`` is the
    same part of the previous day or month, and for minutes the same ones yesterday; None if that
    was before counting began, at ``since`` (None if long ago). ``monthly_limit`` applies to
    accounts without their own limit; 0 means none. ``today``, ``month`` and the series of days
    follow ``calendar``; everything else is UTC. A value that cannot be read is None, and counts as
    0 in sums.
    """
    minutes = _minutes(readings.hours, now_ms)
    this_minute = now_ms - now_ms % MINUTE_MS
    recent = _series(minutes, this_minute, MINUTE_MS, MINUTES)
    complete = recent[-1 - RATE_MINUTES : -1]
    totals = readings.totals
    active = max(0, readings.accounts - readings.inactive)
    before = minutes_before(minutes, readings, this_minute - MINUTE_MS, RATE_MINUTES)
    since = history_start(readings)
    snapshot: Snapshot = {
        "computedAt": rfc3339(now_ms),
        "timeZone": calendar.zone.key,
        "totalDMsSent": totals.sent,
        "totalDMsReceived": totals.received,
        "totalUsers": readings.users,
        "totalAccounts": readings.accounts,
        "activeAccounts": active,
        "month": {
            "month": month_of(now_ms),
            **_pair(_month(readings.days, now_ms)),
            "before": _before(month_so_far_before(readings, now_ms)),
        },
        "today": {
            **_pair(readings.days.get(day_start(now_ms), EMPTY)),
            "before": _before(today_before(readings, now_ms)),
        },
        "lastHour": {
            **_pair(add((point["sent"], point["received"]) for point in recent)),
            "before": _before(minutes_before(minutes, readings, this_minute, MINUTES)),
        },
        "perMinute": round(
            sum(add((p["sent"], p["received"]) for p in complete)) / RATE_MINUTES, 2
        ),
        "perMinuteBefore": None if before is None else round(sum(before) / RATE_MINUTES, 2),
        "peakMinute": _peak(minutes, this_minute),
        "events": dict(totals.events),
        "duplicates": totals.duplicates,
        "rejected": totals.rejected,
        "late": totals.late,
        "series": {
            "minutes": recent,
            "hours": _series(
                {at: hour.counts for at, hour in readings.hours.items()},
                hour_start(now_ms), HOUR_MS, HOURS,
            ),
            "days": _series(readings.days, day_start(now_ms), DAY_MS, DAYS),
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
        "lastEventAt": _moment(totals.last_event_ms),
        "audit": _audit(readings.audit),
        "canary": _canary(totals.canary_ms, readings.canary, now_ms),
        "accountStates": _states(readings.states),
    }  # fmt: skip
    if not calendar.is_utc:
        own = zoned.figures(readings, now_ms, calendar)
        snapshot["series"]["days"] = own.pop("days")
        snapshot |= own
    return snapshot


def floor_of(readings: Readings) -> int:
    """DMs sent of the last of the top accounts; 0 if the list is not full."""
    return (readings.top[-1].dm_used or 0) if len(readings.top) == TOP else 0


def _minutes(hours: Mapping[int, Hour], now_ms: int) -> dict[int, Bucket]:
    """The recent minutes with counts, up to now; events with a future time are left out until then.
    Hours of last month are ignored here: they were read for the comparison."""
    return {
        start: counts
        for hour, found in hours.items()
        if now_ms - hour < READ_HOURS * HOUR_MS
        for minute, counts in found.minutes.items()
        if (start := hour + minute * MINUTE_MS) <= now_ms
    }


def _series(counts: Mapping[int, Bucket], last: int, step: int, number: int) -> list[Snapshot]:
    """``number`` points up to ``last``, oldest first; gaps are zeros."""
    points = (
        (at, counts.get(at, EMPTY)) for at in range(last - (number - 1) * step, last + 1, step)
    )
    return [
        {"at": rfc3339(at), "sent": sent, "received": received} for at, (sent, received) in points
    ]


def _pair(counts: Bucket) -> Snapshot:
    return {"sent": counts[0], "received": counts[1]}


def _before(counts: Counts | None) -> Snapshot | None:
    return None if counts is None else _pair(counts)


def _month(days: Mapping[int, Bucket], now_ms: int) -> Counts:
    month, today = month_of(now_ms), day_start(now_ms)
    return add(d for at, d in days.items() if at <= today and month_of(at) == month)


def _peak(minutes: Mapping[int, Bucket], this_minute: int) -> Snapshot | None:
    day = [(sent, at) for at, (sent, _) in minutes.items() if this_minute - DAY_MS < at and sent]
    if not day:
        return None
    sent, at = max(day)
    return {"at": rfc3339(at), "sent": sent}


def _account(account: Account, month: str, monthly_limit: int) -> Snapshot:
    return {
        "instagramId": account.instagram_id,
        "username": account.username,
        "dmUsed": account.dm_used,
        "monthlyDmUsed": account.used_in(month),
        "monthlyDmLimit": limit_of(account, monthly_limit),
        "lastDMSent": _moment(account.last_sent_ms),
    }


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _audit(audit: AuditResult | None) -> Snapshot | None:
    return None if audit is None else {"at": rfc3339(audit.at_ms), "drift": audit.drift}


def _states(states: Summary | None) -> Snapshot | None:
    return None if states is None else {"at": rfc3339(states.at_ms), "counts": states.counts()}


def _canary(at_ms: int | None, stages: Mapping[str, float | None], now_ms: int) -> Snapshot | None:
    """The time of the newest counted canary, and the durations of the last returned one."""
    if at_ms is None or now_ms - at_ms > DAY_MS:
        return None
    return {"at": rfc3339(at_ms), **{stage: stages.get(stage) for stage in STAGES}}
