from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import (
    DAY_MS,
    HOUR_MS,
    day_start,
    hour_start,
    month_of,
    rfc3339,
    to_datetime,
)
from dmstats.db.dashboard.readings import DAYS, HOURS
from dmstats.snapshot.build import build, floor_of
from tests.readings import readings_of

NOW = 1_794_746_096_000  # 2026-11-15T12:34:56Z
MINUTE = 60_000
BEFORE = {"sent": 0, "received": 0}


def hour_of(minutes: dict[int, tuple[int, int]]) -> dict[str, Any]:
    return {
        "sent": sum(sent for sent, _ in minutes.values()),
        "received": sum(received for _, received in minutes.values()),
        "minutes": {str(m): {"sent": s, "received": r} for m, (s, r) in minutes.items()},
    }


def test_it_works() -> None:
    hour, day = hour_start(NOW), day_start(NOW)
    snapshot = build(
        readings_of(
            totals={
                "dmsSent": 10, "dmsReceived": 7, "duplicates": 2, "late": 1,
                "events": {"seen": 4}, "lastEventAt": to_datetime(NOW),
            },
            hours={hour: hour_of({34: (1, 1), 33: (5, 0), 29: (0, 5), 28: (9, 9)})},
            days={day: {"sent": 8, "received": 3}, day - DAY_MS: {"sent": 1}},
            top=[{"instagramId": "17", "dmUsed": 9, "monthlyDmUsed": 5, "currentMonth": "2026-10"}],
            accounts=40, inactive=3, users=5, queries=5,
        ),
        NOW,
    )  # fmt: skip
    assert snapshot["totalDMsSent"] == 10
    assert (snapshot["totalAccounts"], snapshot["activeAccounts"]) == (40, 37)
    assert snapshot["month"] == {"month": "2026-11", "sent": 9, "received": 3, "before": BEFORE}
    assert snapshot["today"] == {"sent": 8, "received": 3, "before": BEFORE | {"sent": 1}}
    assert snapshot["lastHour"] == {"sent": 15, "received": 15, "before": BEFORE}
    assert snapshot["perMinute"] == 2.0
    assert snapshot["peakMinute"] == {"at": "2026-11-15T12:28:00.000Z", "sent": 9}
    assert snapshot["events"] == {"seen": 4}
    assert snapshot["late"] == 1
    assert snapshot["lastEventAt"] == rfc3339(NOW)
    assert snapshot["topAccounts"][0]["monthlyDmUsed"] == 0
    assert snapshot["audit"] is None


def test_accounts_without_a_limit_of_their_own_have_the_default() -> None:
    top = [{"instagramId": "1", "monthlyDmLimit": limit} for limit in (None, 0, 7)]
    top.append({"instagramId": "2"})
    for default, expected in ((0, [None, 0, 7, None]), (50, [50, 0, 7, 50])):
        accounts = build(readings_of(top=top), NOW, default)["topAccounts"]
        assert [account["monthlyDmLimit"] for account in accounts] == expected


def test_an_empty_database_is_all_zeros() -> None:
    snapshot = build(readings_of(), NOW)
    assert snapshot["peakMinute"] is None
    assert snapshot["perMinute"] == 0
    assert [len(snapshot["series"][name]) for name in ("minutes", "hours", "days")] == [60, 24, 30]
    assert snapshot["series"]["minutes"][-1]["at"] == "2026-11-15T12:34:00.000Z"
    assert snapshot["series"]["hours"][-1]["at"] == "2026-11-15T12:00:00.000Z"
    assert snapshot["series"]["days"][0]["at"] == "2026-10-17T00:00:00.000Z"


def test_the_floor_is_the_last_of_a_full_list() -> None:
    full = [{"dmUsed": 20 - i} for i in range(10)]
    assert floor_of(readings_of(top=full)) == 11
    assert floor_of(readings_of(top=full[:9])) == 0


def test_the_audit_is_shown() -> None:
    audit = {"at": datetime(2026, 11, 15, tzinfo=UTC), "drift": 2}
    assert build(readings_of(audit=audit), NOW)["audit"] == {
        "at": "2026-11-15T00:00:00.000Z",
        "drift": 2,
    }


counts = st.integers(0, 10**9)
minutes = st.dictionaries(st.integers(0, 59), st.tuples(counts, counts), max_size=60)
moments = st.integers(1_600_000_000_000, 2_000_000_000_000)


@given(now=moments, data=st.data())
def test_what_is_shown_adds_up(now: int, data: st.DataObject) -> None:
    # An hour and a day more than are read, and one of each ahead of the clock.
    hours = {
        hour_start(now) - i * HOUR_MS: hour_of(data.draw(minutes))
        for i in data.draw(st.sets(st.integers(-1, HOURS), max_size=6))
    }
    days = {
        day_start(now) - i * DAY_MS: {"sent": data.draw(counts), "received": data.draw(counts)}
        for i in data.draw(st.sets(st.integers(-1, DAYS), max_size=6))
    }
    snapshot = build(readings_of(totals={"dmsSent": 1 << 60}, hours=hours, days=days), now)
    series = snapshot["series"]
    for points in series.values():
        moments_shown = [point["at"] for point in points]
        assert moments_shown == sorted(set(moments_shown))
    last_hour = {
        kind: sum(
            counts[kind]
            for start, hour in hours.items()
            for minute, counts in hour["minutes"].items()
            if now - now % MINUTE - 59 * MINUTE <= start + int(minute) * MINUTE <= now
        )
        for kind in ("sent", "received")
    }
    assert snapshot["lastHour"].items() >= last_hour.items()
    assert all(n >= 0 for name in ("month", "today") for n in snapshot[name]["before"].values())
    for kind in ("sent", "received"):
        assert snapshot["month"][kind] == sum(
            day[kind] for at, day in days.items() if at <= now and month_of(at) == month_of(now)
        )
        assert snapshot["today"][kind] == series["days"][-1][kind]
    peak = snapshot["peakMinute"]
    most = max((point["sent"] for point in series["minutes"]), default=0)
    assert (peak["sent"] if peak else 0) >= most


@given(now=moments, sent=counts, received=counts)
def test_the_rate_is_over_complete_minutes(now: int, sent: int, received: int) -> None:
    start = now - now % MINUTE - MINUTE
    hour = {hour_start(start): hour_of({start // MINUTE % 60: (sent, received)})}
    running = now // MINUTE % 60
    hour.setdefault(hour_start(now), hour_of({}))["minutes"][str(running)] = {"sent": 10**9}
    assert build(readings_of(hours=hour), now)["perMinute"] == round((sent + received) / 5, 2)
