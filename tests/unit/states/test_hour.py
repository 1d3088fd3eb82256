"""What is known of an account's hours from looks at its counter at any moments."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.core.clock import HOUR_MS, MINUTE_MS
from dmstats.db.states.state_record import HourCount
from dmstats.states.hour import (
    MAX_GAP_MS,
    MAX_IN_A_GAP,
    hour_limit_reached_ms,
    most_sent,
    seen,
    sent_in,
)

HOUR = 500_000
START = HOUR * HOUR_MS


def test_it_works() -> None:
    first = seen(None, 1000, START + 50 * MINUTE_MS, None)
    assert first == HourCount(HOUR, 1000, None, 1000)
    # Ten minutes around the beginning of the next hour: half of them are of each.
    second = seen(first, 1040, START + 65 * MINUTE_MS, 15 * MINUTE_MS)
    assert second == HourCount(HOUR + 1, 1027, 27, 1040)
    third = seen(second, 1100, START + 80 * MINUTE_MS, 15 * MINUTE_MS)
    assert [sent_in(third, HOUR + n) for n in (-1, 0, 1, 2)] == [None, 27, 73, 0]


@given(
    gaps=st.lists(
        st.tuples(st.integers(1, MAX_GAP_MS), st.integers(0, 1000)), min_size=1, max_size=40
    ),
    at=st.integers(0, HOUR_MS - 1),
)
def test_hours_add_up_to_what_was_sent(gaps: list[tuple[int, int]], at: int) -> None:
    """Each DM is of one hour: none is lost, and none is counted twice."""
    now, used = START + at, 10_000
    count = seen(None, used, now, None)
    hours: dict[int, int] = {}
    for gap, sent in gaps:
        now, used = now + gap, used + sent
        count = seen(count, used, now, gap)
        for hour in (now // HOUR_MS, now // HOUR_MS - 1):
            known = sent_in(count, hour)
            if known is not None:
                assert 0 <= known <= used - 10_000
                hours[hour] = known
    assert sum(hours.values()) == used - 10_000


@given(
    looks=st.lists(st.integers(1, 10 * MINUTE_MS), min_size=20, max_size=60),
    rate=st.integers(1, 1000),
)
def test_of_a_steady_account_each_hour_has_the_same(looks: list[int], rate: int) -> None:
    now, count = START, HourCount(HOUR, 0, None, 0)
    for gap in looks:
        now += gap
        found = seen(count, rate * (now - START) // HOUR_MS, now, gap)
        assert found is not None
        count = found
    running = sent_in(count, now // HOUR_MS)
    assert running == pytest.approx(rate * (now % HOUR_MS) / HOUR_MS, abs=2)


@pytest.mark.parametrize(
    ("kept", "used", "gap_ms"),
    [
        (HourCount(HOUR, 900, 5, 1000), 999, MINUTE_MS),  # the platform set it back
        (HourCount(HOUR, 900, 5, 1000), 1001 + MAX_IN_A_GAP, MINUTE_MS),
        (HourCount(HOUR + 1, 900, 5, 1000), 1001, MINUTE_MS),  # the clock was set back
        (HourCount(HOUR - 1, 900, 5, 1000), 1001, None),  # another leader
        (HourCount(HOUR - 1, 900, 5, 1000), 1001, MAX_GAP_MS + 1),
        (HourCount(HOUR - 1, 900, 5, 1000), 1001, -1),
        (None, 1000, MINUTE_MS),
    ],
)
def test_what_is_not_known_is_not_counted(
    kept: HourCount | None, used: int, gap_ms: int | None
) -> None:
    now = START + 10 * MINUTE_MS
    count = seen(kept, used, now, gap_ms)
    assert count == HourCount(HOUR, used, None, used)
    assert seen(kept, None, now, gap_ms) is None


def test_what_was_sent_before_the_hour_began_is_not_of_it() -> None:
    kept, now = HourCount(HOUR - 1, 900, 5, 1000), START + 10 * MINUTE_MS
    count = seen(kept, 1030, now, 15 * MINUTE_MS, last_sent_ms=START - 1)
    assert count == HourCount(HOUR, 1030, 130, 1030)


def test_the_busier_of_two_hours_as_far_as_it_was_sent_in_them() -> None:
    count = HourCount(HOUR, 1000, 150, 1100)
    assert most_sent(count, START, {HOUR: 1.0, HOUR - 1: 1.0}) == 150
    assert most_sent(count, START, {HOUR: 1.0, HOUR - 1: 0.1}) == 100
    assert most_sent(count, START, {}) == most_sent(None, START, {HOUR: 1.0}) == 0
    assert most_sent(count, START + 2 * HOUR_MS, {HOUR + 1: 1.0, HOUR + 2: 1.0}) == 0


@pytest.mark.parametrize(
    ("sent", "minutes", "expected"),
    [
        (100, 20, 40),
        (100, 31, None),  # at this pace it lasts
        (100, 4, None),  # too early to tell
        (200, 20, None),
        (0, 20, None),
        (None, 20, None),
    ],
)
def test_when_the_limit_is_reached(sent: int | None, minutes: int, expected: int | None) -> None:
    found = hour_limit_reached_ms(sent, START + minutes * MINUTE_MS, 200)
    assert found == (None if expected is None else START + expected * MINUTE_MS)


def test_looks_that_follow_each_other_at_any_pace_never_go_back() -> None:
    """An hour that is over keeps its count."""
    count, now, over = HourCount(HOUR, 0, None, 0), START, []
    for n in range(100):
        now += 7 * MINUTE_MS
        found = seen(count, 13 * n + 13, now, 7 * MINUTE_MS)
        assert found is not None
        count = found
        over.append((now // HOUR_MS - 1, sent_in(count, now // HOUR_MS - 1)))
    assert all(one == other for one, other in pairwise(over) if one[0] == other[0])
