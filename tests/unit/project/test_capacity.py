"""The capacity model: its predictions for machines whose service times are known."""

from __future__ import annotations

import math

import msgspec
import pytest

from benchmarks.capacity import (
    ACROSS_SHARDS,
    COMMITTER,
    DATABASE,
    DATABASE_CORES,
    MOST_BUSY,
    WORKER,
    Commit,
    Costs,
    Demand,
    Point,
    advice,
    fit_commit,
    needed,
    plan,
)

COMMIT = Commit(base=0.010, each=20e-6, post=80e-6)
COSTS = Costs(
    app_post=400e-6,
    app_dm=20e-6,
    database_post=100e-6,
    database_dm=50e-6,
    commit=COMMIT,
    get=500e-6,
    push=20e-6,
    row_bytes=900.0,
)


def test_the_fit_finds_the_service_times_that_the_points_were_made_of() -> None:
    points = [
        Point(posts, dms, COMMIT.closed_loop(posts, dms))
        for posts in (1, 4, 16, 64)
        for dms in (1, 20, 100)
    ]
    found = fit_commit(points)
    assert found.base == pytest.approx(COMMIT.base)
    assert found.each == pytest.approx(COMMIT.each)
    assert found.post == pytest.approx(COMMIT.post)


def test_a_closed_loop_is_one_batch_up_to_the_largest() -> None:
    assert COMMIT.closed_loop(64, 1) == pytest.approx(64 / (0.010 + 64 * 100e-6))
    assert COMMIT.closed_loop(1, 1) == pytest.approx(1 / (0.010 + 100e-6))
    assert COMMIT.closed_loop(500, 20) == pytest.approx(COMMIT.most(20))


def test_latency_is_flat_until_full_batches_cannot_keep_up() -> None:
    alone = 0.010 + 100e-6
    assert COMMIT.latency(1, 1) == pytest.approx(alone, rel=0.01)
    busy = COMMIT.latency(5_000, 1)
    assert busy == pytest.approx(3 * alone, rel=0.02)
    assert COMMIT.latency(10_000, 1) == math.inf
    # What comes during a commit is the next commit.
    commit_seconds = COMMIT.seconds(5_000, 1)
    assert busy == pytest.approx(1.5 * commit_seconds)
    assert COMMIT.base + 5_000 * commit_seconds * COMMIT.per_dm(1) == pytest.approx(commit_seconds)


def test_a_commit_holds_at_least_one_whole_post() -> None:
    assert COMMIT.seconds(1, 1000) == pytest.approx(COMMIT.base + 1000 * COMMIT.per_dm(1000))
    rates = [10.0 * 2**n for n in range(9)]
    latencies = [COMMIT.latency(rate, 20) for rate in rates]
    assert latencies == sorted(latencies)


def test_full_batches_bound_the_rate() -> None:
    assert COMMIT.most(1) == pytest.approx(2000 / (0.010 + 0.2))
    assert COMMIT.most(20) > COMMIT.most(1)


@pytest.mark.parametrize(
    ("busy", "number"), [(0, 1), (MOST_BUSY, 1), (MOST_BUSY + 0.01, 2), (3.0, 5)]
)
def test_nothing_is_planned_busier_than_the_bound(busy: float, number: int) -> None:
    assert needed(busy) == number


def test_little_load_needs_one_of_each() -> None:
    small = plan(COSTS, Demand(2e5))
    assert (small.workers, small.hosts, small.shards, small.stripes, small.redis) == (1,) * 5
    assert small.demand.rate == pytest.approx(23.1, rel=0.01)
    assert "replica set" in advice(small)[0]


@pytest.mark.parametrize("dms", [1, 20])
def test_needs_grow_with_the_dms_and_no_resource_is_overbooked(dms: int) -> None:
    plans = [plan(COSTS, Demand(day, dms)) for day in (2e5, 1e7, 1e9)]
    for figure in ("workers", "hosts", "database_cores", "shards", "stripes", "written_mb"):
        needs = [getattr(each, figure) for each in plans]
        assert needs == sorted(needs)
    largest = plans[-1]
    assert largest.busy[WORKER] / largest.workers <= MOST_BUSY
    assert largest.busy[COMMITTER] / largest.stripes <= MOST_BUSY
    assert largest.hosts >= largest.stripes
    assert largest.busy[DATABASE] / largest.shards <= MOST_BUSY
    assert math.isfinite(largest.latency)


def test_the_bottleneck_is_what_runs_out_first() -> None:
    slow_database = msgspec.structs.replace(COSTS, database_dm=10.0)
    assert plan(slow_database, Demand(1e7)).bottleneck == DATABASE
    slow_commits = msgspec.structs.replace(COSTS, commit=Commit(base=0.010, each=0.02))
    found = plan(slow_commits, Demand(1e7))
    assert found.bottleneck == COMMITTER
    assert any("striped" in told for told in advice(found))


def test_more_hosts_commit_no_faster_than_one_until_the_totals_are_striped() -> None:
    found = plan(COSTS, Demand(1e9))
    assert found.stripes == needed(found.demand.rate / COMMIT.most(1)) > 1
    many_cores = plan(msgspec.structs.replace(COSTS, app_post=0.1), Demand(1e7))
    assert many_cores.hosts > many_cores.stripes


def test_shards_pay_for_transactions_across_them() -> None:
    demand = Demand(1e7)
    found = plan(msgspec.structs.replace(COSTS, database_post=0.0, database_dm=0.02), demand)
    alone = demand.rate * 0.02 / DATABASE_CORES
    assert found.shards == needed(ACROSS_SHARDS * alone) > needed(alone) > 1
    assert any("--shard" in told for told in advice(found))
