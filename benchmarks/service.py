"""Service times of group commit: more and more requests in flight, on one worker."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.capacity import Commit, Point, fit_commit
from benchmarks.contestants import ours
from benchmarks.databases import Databases
from benchmarks.harness import Figures, interleave, median, number, spread
from benchmarks.report import Result, table
from benchmarks.runs import contenders, post

IN_FLIGHT = (1, 4, 16, 64, 128)
SHAPES = (1, 20)
COLUMNS = ("DMs/s", "p50 ms", "p99 ms", "app µs/DM", "database µs/DM")


def service(databases: Databases, *, quick: bool) -> Result:
    """Each number in flight by turns; the fit of every second one foretells those between."""
    seconds, rounds = (1.0, 1) if quick else (2.5, 2)
    raw: dict[str, dict[str, list[Figures]]] = {}
    with contenders(databases, {"dmstats": ours}) as running:
        web, _ = running["dmstats"]
        for dms in SHAPES:
            raw[str(dms)] = interleave(
                {
                    str(n): post(web, databases, dms=dms, seconds=seconds, connections=n)
                    for n in IN_FLIGHT
                },
                rounds,
            )
    return Result(told(raw), raw)


def told(raw: Mapping[str, Mapping[str, list[Figures]]], _: str = "") -> str:
    """What was measured, beside what the model predicts."""
    points = measured_points(raw)
    # What is foretold must not have been fitted to: every second point checks the others.
    commit = fit_commit(points[::2])
    rows = []
    for point in points:
        runs = raw[str(point.dms)][str(point.posts)]
        foretold = number(commit.closed_loop(point.posts, point.dms))
        columns = (spread(runs, column) for column in COLUMNS)
        rows.append([str(point.dms), str(point.posts), *columns, foretold])
    head = ["DMs/s", "p50 ms", "p99 ms", "CPU µs per DM: app", "database", "DMs/s by the model"]
    note = f"- The model, fitted to every second row: a commit takes {in_words(commit)}."
    return table(["DMs per POST", "in flight", *head], rows) + f"\n\n{note}"


def measured_points(raw: Mapping[str, Mapping[str, list[Figures]]]) -> list[Point]:
    """The medians of what was measured, for the model."""
    return [
        Point(int(flying), int(dms), median(runs, "DMs/s"))
        for dms, results in raw.items()
        for flying, runs in results.items()
    ]


def in_words(commit: Commit) -> str:
    """A commit's time, to read."""
    return (
        f"{number(1e3 * commit.base)} ms, {number(1e6 * commit.each)} µs for each DM and "
        f"{number(1e6 * commit.post)} µs for each POST"
    )
