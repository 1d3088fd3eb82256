"""Batches shrink when the database is slow, and grow again."""

from __future__ import annotations

from dmstats.commit.limits import MIN_BATCH, AdaptiveLimit


def test_it_works() -> None:
    pace = AdaptiveLimit(2000, seconds=1.8)
    assert pace.limit == 2000
    pace.out_of_time(1600)
    assert pace.limit == 400
    pace.out_of_time(400)
    assert pace.limit == 100
    pace.written(100, 0.2)
    assert pace.limit == 200


def test_a_small_batch_says_nothing_about_a_large_one() -> None:
    pace = AdaptiveLimit(2000, seconds=1.8)
    pace.out_of_time(400)
    pace.written(3, 0.01)
    assert pace.limit == 100


def test_a_slow_batch_is_not_followed_by_a_larger_one() -> None:
    pace = AdaptiveLimit(2000, seconds=1.8)
    pace.out_of_time(400)
    pace.written(100, 0.6)
    assert pace.limit == 100
    pace.written(100, 1.2)
    assert pace.limit == 50


def test_the_limit_has_limits() -> None:
    pace = AdaptiveLimit(2000, seconds=1.8)
    for _ in range(20):
        pace.out_of_time(10)
    assert pace.limit == MIN_BATCH
    for _ in range(20):
        pace.written(pace.limit, 0.01)
    assert pace.limit == 2000
    small = AdaptiveLimit(3, seconds=1.8)
    small.out_of_time(3)
    assert small.limit == 3
