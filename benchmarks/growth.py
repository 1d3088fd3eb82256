"""How each cost grows with the work, from the stored measurements of the other benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import report
from benchmarks.databases import COMPILED, EMBEDDED, EXTERNAL
from benchmarks.fit import exponent, in_words
from benchmarks.harness import number
from benchmarks.plots import curves
from benchmarks.report import RAW, Result, table

Runs = list[Mapping[str, float]]
Cases = Mapping[str, Runs]
Scale = Callable[[str], float]


def one(_: str) -> float:
    """As it is."""
    return 1.0


class Curve(msgspec.Struct):
    """A cost over its work: the same length each."""

    cost: str
    work: str
    points: list[tuple[float, float]]

    @property
    def exponent(self) -> float:
        return exponent(*zip(*self.points, strict=True))


def growth() -> Result:
    """Fit and plot whatever has been kept; what has not been measured yet is left out."""
    found = [curve for kind in (EMBEDDED, COMPILED, EXTERNAL) for curve in _curves(RAW, kind)]
    found = [curve for curve in found if len(curve.points) > 1]
    if not found:
        raise RuntimeError("nothing measured yet: run the other benchmarks first")
    curves(found, RAW / "growth.png")
    raw = [{**msgspec.structs.asdict(curve), "exponent": curve.exponent} for curve in found]
    return Result(shown(raw), raw)


def shown(raw: Sequence[Mapping[str, Any]], _: str = "") -> str:
    """The table and the picture."""
    rows = []
    for curve in raw:
        (least, cost), (most, cost_then) = curve["points"][0], curve["points"][-1]
        rows.append([
            curve["cost"], curve["work"], f"{least:,.0f} to {most:,.0f}",
            f"{number(cost)} to {number(cost_then)}",
            f"{curve['exponent']:.2f}", in_words(curve["exponent"]),
        ])  # fmt: skip
    head = ["cost", "work", "from, to", "cost from, to", "exponent", ""]
    return f"{table(head, rows)}\n\n![How costs grow](benchmarks/growth.png)"


def _curves(folder: Path, kind: str) -> Iterator[Curve]:
    suffix = "" if kind == EMBEDDED else f", {kind} database"

    def kept(name: str) -> Any:
        return report.kept(report.place(name, kind), folder=folder) or {}

    def curve(cost: str, work: str, cases: Cases, figure: str, scale: Scale = one) -> Curve:
        points = sorted(
            (float(key), statistics.median(run[figure] * scale(key) for run in runs))
            for key, runs in cases.items()
            if key.isdigit() and all(figure in run for run in runs)
        )
        return Curve(cost + suffix, work, points)

    flying = kept("service").get("1", {})
    yield curve("application CPU µs per DM", "POSTs of 1 DM in flight", flying, "app µs/DM")
    yield curve("database CPU µs per DM", "POSTs of 1 DM in flight", flying, "database µs/DM")
    shapes = {shape: results.get("dmstats", []) for shape, results in kept("ingest").items()}
    by_dms = {shape: runs for shape, runs in shapes.items() if runs}
    yield curve("application CPU µs per POST", "DMs in a POST", by_dms, "app µs/POST")
    yield curve("database CPU µs per POST", "DMs in a POST", by_dms, "database µs/DM", int)
    yield curve("DMs/s of 1 DM per POST", "workers", kept("workers").get("1", {}), "DMs/s")
    yield curve("p99 ms of GET stats", "admins", kept("reading").get("admins", {}), "p99 ms")
    yield curve("CPU % of a core", "admins", kept("reading").get("admins", {}), "CPU %")
    for place, sizes in kept("refresh").items():
        for who, told_as in (("refresh", "a refresh"), ("aggregation", "an aggregation")):
            cases = {size: told[who] for size, told in sizes.items() if who in told}
            yield curve(f"ms of {told_as}", place, cases, "p50 ms")
    streams = kept("streams")
    for who in ("dmstats", "stock flask-sse", "nginx with nchan"):
        cases = {count: told[who] for count, told in streams.items() if who in told}
        yield curve(f"ms to the last client, {who}", "streams", cases, "last client p50 ms")
        yield curve(f"CPU µs per client, {who}", "streams", cases, "CPU µs per client")
