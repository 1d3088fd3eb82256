"""Which states an account is in, with a clock that moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import DAY_MS, HOUR_MS, to_ms
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythm
from dmstats.db.states.state_record import SORT_COLUMNS, State
from dmstats.db.states.summary import StateFilter, Summary, Totals, summary
from dmstats.states.rules import (
    SETTLED_MS,
    is_surging,
    limit_reached_ms,
    state_of,
    surge_at,
    surge_rhythm,
)

NOW = to_ms(datetime(2026, 11, 11, tzinfo=UTC))
"""Ten of the month's thirty days have passed."""
OLD = NOW - 400 * DAY_MS


def account(**fields: Any) -> Account:
    usual: dict[str, Any] = {"instagram_id": "1", "created_ms": OLD, "current_month": "2026-11"}
    return Account(**usual | fields)


def states(found: Account, now: int = NOW, **more: Any) -> tuple[State, ...]:
    return state_of(found, None, now, **more).states


def test_it_works() -> None:
    assert states(account(monthly_dm_used=85, monthly_dm_limit=100)) == (State.NEAR_LIMIT,)
    assert states(account()) == ()


@pytest.mark.parametrize(
    ("used", "limit", "expected"),
    [
        (79, 100, ()),
        (80, 100, (State.NEAR_LIMIT,)),
        (99, 100, (State.NEAR_LIMIT,)),
        (100, 100, (State.OVER_LIMIT,)),
        (0, 0, (State.OVER_LIMIT,)),
        (5, -1, ()),
        (None, 100, ()),
        (900, None, (State.NEAR_LIMIT,)),
    ],
)
def test_the_months_limit(used: int | None, limit: int | None, expected: tuple[State]) -> None:
    found = account(monthly_dm_used=used, monthly_dm_limit=limit)
    assert states(found, monthly_limit=1000) == expected


def test_a_new_month_begins_at_zero() -> None:
    found = account(monthly_dm_used=100, monthly_dm_limit=100)
    assert states(found) == (State.OVER_LIMIT,)
    later = to_ms(datetime(2026, 12, 1, tzinfo=UTC))
    assert states(found, later) == ()
    # So no account has to be written anew when a month begins.
    before, after = (state_of(found, None, at) for at in (later - HOUR_MS, later))
    assert (before.month, before.month_sent) == (after.month, after.month_sent) == ("2026-11", 100)


def test_when_the_limit_is_reached() -> None:
    found = account(monthly_dm_used=100, monthly_dm_limit=200)
    assert limit_reached_ms(found, NOW, 0) == NOW + 10 * DAY_MS
    assert limit_reached_ms(account(monthly_dm_used=100), NOW, 200) == NOW + 10 * DAY_MS
    for other in (
        {"monthly_dm_limit": 301},
        {"monthly_dm_limit": 100},
        {"monthly_dm_limit": 0},
        {},
    ):
        assert limit_reached_ms(account(monthly_dm_used=100, **other), NOW, 0) is None
    young = account(monthly_dm_used=100, monthly_dm_limit=200, created_ms=NOW - DAY_MS)
    assert limit_reached_ms(young, NOW, 0) == NOW + DAY_MS
    just = account(monthly_dm_used=100, monthly_dm_limit=200, created_ms=NOW - HOUR_MS // 2)
    assert limit_reached_ms(just, NOW, 0) is None


def test_an_inactive_account_that_goes_on_sending() -> None:
    # What it sent before it was deactivated, or a moment after, is no reason for an alarm.
    first = state_of(account(is_active=False, last_sent_ms=NOW - HOUR_MS), None, NOW)
    assert (first.states, first.inactive_since_ms) == ((), NOW)

    def later(last_sent: int, now: int) -> tuple[State, ...]:
        found = account(is_active=False, last_sent_ms=last_sent)
        return states(found, now, inactive_since_ms=first.inactive_since_ms)

    assert later(NOW + SETTLED_MS, NOW + HOUR_MS) == ()
    assert later(NOW + SETTLED_MS + 1, NOW + HOUR_MS) == (State.INACTIVE_SENDING,)
    assert later(NOW + SETTLED_MS + 1, NOW + 2 * DAY_MS) == ()
    again = state_of(account(last_sent_ms=NOW), None, NOW, inactive_since_ms=NOW - DAY_MS)
    assert (again.states, again.inactive_since_ms) == ((), None)


def test_new_for_a_week() -> None:
    found = account(created_ms=NOW)
    assert states(found, NOW + 7 * DAY_MS - 1) == (State.NEW,)
    assert states(found, NOW + 7 * DAY_MS) == ()
    assert states(account(created_ms=None)) == ()


def test_a_time_of_the_future_is_none() -> None:
    far = to_ms(datetime(9999, 12, 31, tzinfo=UTC))
    assert states(account(created_ms=far)) == ()
    found = account(is_active=False, last_sent_ms=far)
    assert states(found, inactive_since_ms=NOW - DAY_MS) == ()
    near = account(created_ms=NOW + HOUR_MS, is_active=False, last_sent_ms=NOW + HOUR_MS)
    expected = (State.INACTIVE_SENDING, State.NEW)
    assert states(near, inactive_since_ms=NOW - DAY_MS) == expected


def test_what_needs_attention() -> None:
    assert states(account(), refused=True) == (State.NEEDS_ATTENTION,)
    assert states(account(odd=("dmUsed",), dm_used=None)) == (State.NEEDS_ATTENTION,)


def test_the_document_sorts_by_any_column() -> None:
    fields = ("monthly_dm_used", "dm_used", "dm_received", "last_sent_ms", "created_ms")
    less, more = (
        state_of(account(username=name, monthly_dm_limit=10**6, **dict.fromkeys(fields, n)),
                 None, NOW).document()["order"]
        for name, n in (("a", 9), ("b", 100_000))
    )  # fmt: skip
    assert tuple(less) == SORT_COLUMNS
    for column in SORT_COLUMNS:
        assert less[column] < more[column], column
    unknown = state_of(account(dm_used=None, monthly_dm_limit=None), None, NOW).document()["order"]
    assert unknown["dmUsed"] < less["dmUsed"]
    assert unknown["limitUsed"] < less["limitUsed"]
    earlier = state_of(account(monthly_dm_used=10**6, current_month="2026-10"), None, NOW)
    assert earlier.document()["order"]["monthlyDmUsed"] < less["monthlyDmUsed"]
    future = state_of(account(monthly_dm_used=10**6, current_month="2999-10"), None, NOW)
    assert future.document()["order"]["monthlyDmUsed"] < less["monthlyDmUsed"]


def test_what_is_kept_tells_what_changed() -> None:
    one = state_of(account(dm_used=1), None, NOW)
    assert one.packed() == state_of(account(dm_used=1), None, NOW + HOUR_MS).packed()
    assert one.packed() != state_of(account(dm_used=2), None, NOW).packed()


def test_the_summary_has_the_totals_of_each_filter() -> None:
    found = Summary(NOW, "2026-11")
    for fields in (
        {"dm_used": 5, "dm_received": 2, "monthly_dm_used": 1, "monthly_dm_limit": 1},
        {"dm_used": 7, "monthly_dm_used": 3, "current_month": "2026-10", "is_active": False},
        {"dm_used": 2**63 - 1, "monthly_dm_used": 9, "created_ms": NOW},
        {"dm_used": 2**63 - 1},
    ):
        found.add(state_of(account(**fields), None, NOW))
    assert found.counts()["over-limit"] == found.counts()["new"] == 1
    assert found.counts()["silent"] == 0
    assert found.totals(StateFilter(limited=True)) == Totals(1, 1, 5, 2)
    assert found.totals(StateFilter(active=False)) == Totals(1, 0, 7, 0)
    assert found.totals(StateFilter(State.NEW, active=False)) == Totals()
    assert found.totals(StateFilter()) == Totals(4, 10, 2**62, 2)
    stored = summary(found.document())
    assert stored is not None
    assert stored.document() == found.document()


@pytest.mark.parametrize("found", [{}, {"at": 1}, {"cells": [[1]]}, {"cells": []}])
def test_a_summary_that_cannot_be_read(found: dict[str, Any]) -> None:
    assert summary(found) is None


def test_sums_stay_in_the_range_of_the_database() -> None:
    found = Summary(NOW, "2026-11")
    for name in "ab":
        fields: dict[str, Any] = {"instagram_id": name, "dm_used": -(2**63)}
        found.add(state_of(account(**fields), None, NOW))
    assert found.totals(StateFilter()).sent == -(2**62)


@given(
    rhythm=st.builds(
        Rhythm,
        hour=st.just(NOW // HOUR_MS),
        days=st.just(()),
        busy_day=st.integers(0, 60),
        recent=st.integers(0, 300),
        used=st.none() | st.integers(-300, 300) | st.sampled_from([2**63 - 1, -(2**63)]),
    ),
    used=st.none() | st.integers(-600, 600) | st.sampled_from([2**63 - 1, -(2**63)]),
)
def test_one_number_tells_when_an_account_is_unusually_active(
    rhythm: Rhythm, used: int | None
) -> None:
    found = account(dm_used=used)
    expected = is_surging(found, rhythm, NOW)
    assert is_surging(found, surge_rhythm(surge_at(rhythm), rhythm.hour), NOW) == expected
    if used is not None and rhythm.used is not None and rhythm.busy_day:
        day = rhythm.recent + max(0, used - rhythm.used)
        assert expected == (day >= 100 and day > 3 * rhythm.busy_day)
    else:
        assert not expected
