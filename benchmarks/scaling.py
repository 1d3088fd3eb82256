"""Feeds the capacity model with what was measured, holds it against measured points, and tells."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import report
from benchmarks.capacity import CapacityPlan, Commit, Costs, Demand, Point, advice, fit_commit, plan
from benchmarks.databases import COMPILED, EMBEDDED, EXTERNAL
from benchmarks.fit import non_negative
from benchmarks.harness import number
from benchmarks.ingest import in_flight
from benchmarks.programs import ROOT
from benchmarks.report import RAW, Result, table
from benchmarks.service import in_words, measured_points

PAGE = ROOT / "docs" / "scaling.md"
DAYS = {"200 K": 2e5, "10 M": 1e7, "1 G": 1e9}
ADMINS = {"200 K": 20, "10 M": 100, "1 G": 1_000}
POSTS = (1, 20)


def scaling() -> Result:
    """Plans into docs/scaling.md, the model beside what was measured into the benchmarks' page."""
    kinds = [kind for kind in (EXTERNAL, COMPILED, EMBEDDED) if _complete(RAW, kind)]
    if not kinds:
        raise RuntimeError(f"needs what these have measured: {', '.join(NEEDED)}")
    kind = kinds[0]
    costs = costs_of(RAW, kind)
    plans = {
        (day, dms): plan(costs, Demand(DAYS[day], dms, admins=ADMINS[day]))
        for day in DAYS
        for dms in POSTS
    }
    report.insert(PAGE, "costs", _costs_told(costs, kind))
    report.insert(PAGE, "plans", _plans_told(plans))
    rows = [row for each in kinds for row in _checked(RAW, each)]
    head = ["database", "measured", "DMs/s", "by the model", "model / measured"]
    raw = {
        "costs": msgspec.to_builtins(costs),
        "plans": {f"{day}, {dms}": msgspec.to_builtins(p) for (day, dms), p in plans.items()},
        "check": rows,
    }
    return Result(table(head, rows), raw)


NEEDED = ("ingest", "service", "commits", "reading", "streams")
ONCE = ("reading", "streams")
"""Measured on the embedded database alone: they hardly touch it."""


def _complete(folder: Path, kind: str) -> bool:
    return all(_kept(folder, name, kind) for name in NEEDED)


def _kept(folder: Path, name: str, kind: str) -> Any:
    mine = report.kept(report.place(name, kind), folder=folder)
    return mine or (report.kept(name, folder=folder) if name in ONCE else None)


def costs_of(folder: Path, kind: str) -> Costs:
    """The measured service times, by the medians."""
    ingest, polls = _kept(folder, "ingest", kind), _kept(folder, "reading", kind)
    shapes = {int(dms): told["dmstats"] for dms, told in ingest.items() if "dmstats" in told}
    app = {dms: _median(runs, "app µs/POST") for dms, runs in shapes.items()}
    database = {dms: dms * _median(runs, "database µs/DM") for dms, runs in shapes.items()}
    streams = _kept(folder, "streams", kind)
    largest = max((count for count in streams if "dmstats" in streams[count]), key=int)
    return Costs(
        *_line(app),
        *_line(database),
        commit=fit_commit(_commits(folder, kind)),
        get=_median(polls["polls"]["0"], "CPU µs") / 1e6,
        push=_median(streams[largest]["dmstats"], "CPU µs per client") / 1e6,
        row_bytes=_median(shapes[max(shapes)], "bytes/DM"),
    )


def _commits(folder: Path, kind: str) -> Iterator[Point]:
    """Large commits without a web server, and those of a single POST, where it hardly counts."""
    for case, runs in _kept(folder, "commits", kind).items():
        posts, dms = (int(part) for part in case.split(" of "))
        yield Point(posts, dms, _median(runs, "DMs/s"))
    points = measured_points(_kept(folder, "service", kind))
    yield from (point for point in points if point.posts == 1)


def _line(micros: Mapping[int, float]) -> tuple[float, float]:
    """Seconds for every POST, and for every DM in it."""
    rows = [(dms, value) for dms, value in micros.items() if value > 0]
    if not rows:
        return 0.0, 0.0
    post, dm = non_negative([[1.0, float(dms)] for dms, _ in rows], [value for _, value in rows])
    return post / 1e6, dm / 1e6


def _checked(folder: Path, kind: str) -> Iterator[list[str]]:
    """The model against points that it was not fitted to."""
    commit = fit_commit(measured_points(_kept(folder, "service", kind)))
    for dms, told in _kept(folder, "ingest", kind).items():
        if "dmstats" in told:
            rate = _median(told["dmstats"], "DMs/s")
            yield _row(kind, commit, in_flight(int(dms)), int(dms), rate)


def _row(kind: str, commit: Commit, posts: int, dms: int, rate: float) -> list[str]:
    told = commit.closed_loop(posts, dms)
    case = f"{posts} POSTs of {dms} in flight"
    return [kind, case, number(rate), number(told), number(told / rate)]


def _costs_told(costs: Costs, kind: str) -> str:
    rows = [
        ["application, CPU", f"{_us(costs.app_post)} per POST and {_us(costs.app_dm)} per DM"],
        [
            "database, CPU",
            f"{_us(costs.database_post)} per POST and {_us(costs.database_dm)} per DM",
        ],
        ["a commit by itself", in_words(costs.commit)],
        ["a poll of the dashboard", _us(costs.get)],
        ["a snapshot to one stream", _us(costs.push)],
        ["written to disk", f"{number(costs.row_bytes)} bytes per DM"],
    ]
    return table([f"measured on the {kind} database", ""], rows)


def _plans_told(plans: Mapping[tuple[str, int], CapacityPlan]) -> str:
    rows = [
        [
            day, str(dms), number(p.demand.rate), str(p.workers), str(p.hosts),
            str(p.database_cores), str(p.shards), str(p.stripes), str(p.redis), _ms(p.latency),
            f"{number(p.written_mb)} MB/s", f"{number(p.ledger_gb)} GB",
            f"{p.bottleneck} ({number(100 * p.busy[p.bottleneck])}%)",
        ]
        for (day, dms), p in plans.items()
    ]  # fmt: skip
    head = [
        "DMs a day", "DMs per POST", "DMs/s at the peak", "workers", "hosts", "database cores",
        "shards", "stripes", "Redis", "mean latency", "written at the peak", "ledger, 7 days",
        "first to run out (one of it, at the peak)",
    ]  # fmt: skip
    notes = [
        f"- {day} a day, {dms} per POST: {'; '.join(advice(p))}." for (day, dms), p in plans.items()
    ]
    return table(head, rows) + "\n\n" + "\n".join(notes)


def _median(runs: list[Mapping[str, float]], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def _us(seconds: float) -> str:
    return f"{number(1e6 * seconds)} µs"


def _ms(seconds: float) -> str:
    return f"{number(1e3 * seconds)} ms" if math.isfinite(seconds) else "cannot keep up"
