"""Limits of the commit path: batch size, write set, circuit breaker and back-off."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.commit.limits import (
    FAILURES_TO_OPEN,
    MAX_ACCOUNTS,
    MAX_HOURS,
    MAX_SECONDS,
    MIN_BATCH,
    PROBE_AGAIN_SECONDS,
    SHORTEST_SECONDS,
    AdaptiveLimit,
    Breaker,
    ContentionBackoff,
    split_by_write_set,
)
from dmstats.core.clock import HOUR_MS, ManualClock, hour_start
from dmstats.core.records import LedgerRow

COMMIT = 0.02


def test_the_limit_shrinks_when_time_runs_out_and_grows_again() -> None:
    limit = AdaptiveLimit(2000, seconds=1.8)
    assert limit.limit == 2000
    limit.out_of_time(1600)
    assert limit.limit == 400
    limit.out_of_time(400)
    assert limit.limit == 100
    limit.written(100, 0.2)
    assert limit.limit == 200


def test_a_small_quick_batch_does_not_raise_the_limit() -> None:
    limit = AdaptiveLimit(2000, seconds=1.8)
    limit.out_of_time(400)
    limit.written(3, 0.01)
    assert limit.limit == 100


def test_a_slow_batch_never_raises_the_limit() -> None:
    limit = AdaptiveLimit(2000, seconds=1.8)
    limit.out_of_time(400)
    limit.written(100, 0.6)
    assert limit.limit == 100
    limit.written(100, 1.2)
    assert limit.limit == 50


def test_the_limit_stays_between_its_bounds() -> None:
    limit = AdaptiveLimit(2000, seconds=1.8)
    for _ in range(20):
        limit.out_of_time(10)
    assert limit.limit == MIN_BATCH
    for _ in range(20):
        limit.written(limit.limit, 0.01)
    assert limit.limit == 2000
    small = AdaptiveLimit(3, seconds=1.8)
    small.out_of_time(3)
    assert small.limit == 3


def row(number: int, *, hour: int = 0, account: str = "a") -> LedgerRow:
    return LedgerRow(str(number).encode(), "", account, "sent", hour * HOUR_MS + 1, 1)


def sizes(rows: Sequence[LedgerRow]) -> list[int]:
    return [len(chunk) for chunk in split_by_write_set(rows)]


def test_a_batch_that_fits_is_one_chunk() -> None:
    rows = [row(n) for n in range(2000)]
    assert list(split_by_write_set(rows)) == [rows]
    assert list(split_by_write_set([])) == [[]], (
        "a batch without rows still needs a transaction, for its other counters"
    )


def test_many_hours_are_split_into_chunks() -> None:
    assert sizes([row(n, hour=n % 120) for n in range(240)]) == [100, 100, 40]


def test_many_accounts_are_split_into_chunks() -> None:
    assert sizes([row(n, account=str(n)) for n in range(1000)]) == [300, 300, 300, 100]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 800)), max_size=1500))
def test_every_row_is_in_one_chunk_and_each_chunk_fits(made: list[tuple[int, int]]) -> None:
    rows = [row(n, hour=hour, account=str(account)) for n, (hour, account) in enumerate(made)]
    parts = list(split_by_write_set(rows))
    assert sorted(r.row_id for part in parts for r in part) == sorted(r.row_id for r in rows)
    for part in parts:
        assert len({hour_start(r.time_ms) for r in part}) <= MAX_HOURS
        assert len({r.account for r in part}) <= MAX_ACCOUNTS


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock, quick_seconds=1.8)


def fail(breaker: Breaker, times: int = FAILURES_TO_OPEN) -> None:
    for _ in range(times):
        breaker.began()
        breaker.failed()


def test_the_breaker_opens_and_closes_after_a_quick_probe(
    breaker: Breaker, clock: ManualClock
) -> None:
    assert not breaker.open
    fail(breaker)
    assert breaker.open
    assert not breaker.may_probe
    clock.advance(PROBE_AGAIN_SECONDS)
    assert breaker.may_probe
    breaker.began()
    assert not breaker.may_probe
    breaker.succeeded(0.1)
    assert not breaker.open


def test_fewer_failures_do_not_open_the_breaker(breaker: Breaker) -> None:
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert not breaker.open


def test_a_success_between_failures_keeps_the_breaker_closed(breaker: Breaker) -> None:
    for _ in range(5):
        fail(breaker, FAILURES_TO_OPEN - 1)
        breaker.began()
        breaker.succeeded(0.1)
    assert not breaker.open


def test_a_slow_success_allows_the_next_probe_and_keeps_the_breaker_open(
    breaker: Breaker, clock: ManualClock
) -> None:
    fail(breaker)
    clock.advance(PROBE_AGAIN_SECONDS)
    breaker.began()
    clock.advance(3.0)
    breaker.succeeded(3.0)
    assert breaker.open
    assert breaker.may_probe


def settled(hosts: int, rounds: int = 60) -> list[ContentionBackoff]:
    """The back-off of each of ``hosts`` hosts that always have something to commit, after
    ``rounds`` commits. The host that has been ready for longest commits next."""
    backoffs = [ContentionBackoff() for _ in range(hosts)]
    ready = [0.0] * hosts
    now = 0.0
    for _ in range(rounds):
        first = min(range(hosts), key=lambda host: ready[host])
        now = max(now, ready[first])
        backoffs[first].written(waited=now - ready[first], took=COMMIT)
        now += COMMIT
        ready[first] = now + backoffs[first].pause
    return backoffs


def test_a_single_host_never_pauses() -> None:
    assert settled(1)[0].pause == 0.0


def test_two_hosts_alternate_without_a_pause() -> None:
    assert [each.pause for each in settled(2)] == pytest.approx([0.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("hosts", [3, 4, 5])
def test_each_of_several_hosts_pauses_while_the_others_commit(hosts: int) -> None:
    for backoff in settled(hosts):
        assert backoff.pause == pytest.approx((hosts - 2) * COMMIT)


def test_the_pause_shrinks_to_zero_when_the_other_hosts_are_gone() -> None:
    backoff = settled(4)[0]
    pauses = []
    for _ in range(4):
        pauses.append(backoff.pause)
        backoff.written(waited=0.0, took=COMMIT)
    assert pauses == sorted(pauses, reverse=True)
    assert backoff.pause == 0.0


def test_the_pause_is_bounded() -> None:
    backoff = ContentionBackoff()
    backoff.written(waited=30.0, took=COMMIT)
    assert backoff.pause == MAX_SECONDS


@pytest.mark.parametrize(
    ("took", "longest"),
    [(0.0, SHORTEST_SECONDS), (COMMIT, COMMIT / 2), (5.0, MAX_SECONDS)],
)
def test_the_longest_back_off_is_half_a_commit(took: float, longest: float) -> None:
    backoff = ContentionBackoff()
    backoff.written(waited=0.0, took=took)
    waits = [backoff.back_off(attempt) for attempt in range(1, 100) for _ in range(20)]
    assert longest / 2 <= max(waits) <= longest
    assert all(wait >= SHORTEST_SECONDS / 4 for wait in waits)


def test_back_off_doubles_at_first() -> None:
    backoff = ContentionBackoff()
    for attempt, ceiling in ((1, 0.004), (2, 0.008), (3, 0.016), (10, MAX_SECONDS)):
        waits = [backoff.back_off(attempt) for _ in range(50)]
        assert ceiling / 2 <= min(waits) <= max(waits) <= ceiling
