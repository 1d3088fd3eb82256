from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from dmstats.core.clock import ManualClock
from dmstats.snapshot.build import build
from dmstats.web.schema.snapshot_schema import Snapshot
from tests.readings import readings_of


def snapshot() -> dict[str, Any]:
    at = "2026-11-15T12:34:00.000Z"
    bucket = {"at": at, "sent": 1, "received": 0}
    return {
        "version": "12-345", "computedAt": at, "timeZone": "UTC", "ageSeconds": 3.2,
        "stale": False, "source": "redis",
        "totalDMsSent": 5, "totalDMsReceived": 4, "totalUsers": 3, "totalAccounts": 2,
        "activeAccounts": 1,
        "month": {"month": "2026-11", "sent": 1, "received": 1, "before": None},
        "today": {"sent": 1, "received": 1, "before": {"sent": 2, "received": 0}},
        "lastHour": {"sent": 1, "received": 1, "before": None},
        "perMinute": 0.5, "perMinuteBefore": None,
        "peakMinute": {"at": at, "sent": 1}, "events": {"reaction": 1},
        "duplicates": 0, "rejected": 0, "late": 0,
        "series": {"minutes": [bucket] * 60, "hours": [bucket] * 24, "days": [bucket] * 30},
        "topAccounts": [
            {"instagramId": "1", "username": None, "dmUsed": 1, "monthlyDmUsed": 1,
             "monthlyDmLimit": None, "lastDMSent": at}
        ],
        "population": [{"at": at, "activeAccounts": 1, "users": 3}], "since": None,
        "lastEventAt": None, "audit": None, "canary": None,
        "accountStates": {"at": at, "counts": {"near-limit": 12}},
        "refresh": {"computeMs": 4.1, "dbQueries": 5},
    }  # fmt: skip


def test_it_works() -> None:
    assert Snapshot().load(snapshot())["version"] == "12-345"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", "12"),
        ("version", 12),
        ("computedAt", "2026-11-15T12:34:00+00:00"),
        ("computedAt", 1763209996),
        ("ageSeconds", -1),
        ("source", "guess"),
        ("totalDMsSent", -1),
        ("totalDMsSent", 1.5),
        ("totalDMsSent", "12"),
        ("totalUsers", None),
        ("events", {"reaction": -1}),
        ("month", {"month": "2026", "sent": 0, "received": 0, "before": None}),
        ("series", {"minutes": [], "hours": [], "days": []}),
        ("topAccounts", [{}]),
        ("anythingElse", 1),
    ],
)
def test_what_is_no_snapshot(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        Snapshot().load(snapshot() | {name: value})
    assert list(refused.value.messages) == [name]


@pytest.mark.parametrize("name", sorted(snapshot()))
def test_no_field_may_be_missing(name: str) -> None:
    lacking = snapshot()
    del lacking[name]
    with pytest.raises(ValidationError):
        Snapshot().load(lacking)


def test_what_the_refresher_builds_is_one(clock: ManualClock) -> None:
    cost = {"computeMs": 1.0, "dbQueries": 5}
    around = {"version": "1-1", "ageSeconds": 0.0, "stale": False, "source": "computed"}
    empty = build(readings_of(), clock.now_ms())
    assert Snapshot().validate(empty | around | {"refresh": cost}) == {}
