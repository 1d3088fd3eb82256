"""What an endurance run has found, in words and as a plot."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from benchmarks import report
from benchmarks.fit import slope
from benchmarks.harness import number
from benchmarks.plots import series
from benchmarks.report import RAW

SETTLE_SECONDS = 60.0


class Sample(msgspec.Struct):
    """One moment: seconds since the start, the life of the service, what was and what it took."""

    at: float
    life: int
    acknowledged: int
    p50_ms: float
    p99_ms: float
    worker_mb: float
    database_mb: float
    redis_mb: float


class Found(msgspec.Struct):
    """All that an endurance run has found."""

    hours: float
    rate: float
    workers: int
    sent: int
    settled: bool
    refused: dict[str, int]
    counted: str
    restarts: list[float]
    samples: list[Sample]

    @property
    def is_exact(self) -> bool:
        """Whether all was acknowledged, and every counter says just that."""
        return self.settled and self.counted.startswith(f"{self.sent:,} DMs, the same in")


def told(found: Found, kind: str) -> str:
    """The run in words, with its plot."""
    minutes = [(s.at / 60, s) for s in found.samples]
    name = report.place("endurance", kind)
    series(
        {
            "ms": {
                "p50": [(at, s.p50_ms) for at, s in minutes],
                "p99": [(at, s.p99_ms) for at, s in minutes],
            },
            "MiB": {
                "a worker": [(at, s.worker_mb) for at, s in minutes],
                "Redis": [(at, s.redis_mb) for at, s in minutes],
            },
            "MiB, database": {"database": [(at, s.database_mb) for at, s in minutes]},
        },
        RAW / f"{name}.png",
        marks=[at / 60 for at in found.restarts],
    )
    return _lines(found, name)


def shown(raw: Any, name: str) -> str:
    """The run in words, from its raw data."""
    return _lines(msgspec.convert(raw, Found), name)


def _lines(found: Found, name: str) -> str:
    lines = [f"![Hours of load](benchmarks/{name}.png)", ""]
    lines.append(
        f"- {found.sent:,} DMs acknowledged in {number(found.hours)} h "
        f"({number(found.sent / found.hours / 3600)} a second of {number(found.rate)} asked for), "
        f"{found.workers} workers, {len(found.restarts)} restarts (SIGTERM and SIGKILL "
        f"alternating), {sum(found.refused.values()):,} POSTs sent again."
    )
    verdict = "exact" if found.is_exact else "NOT EXACT"
    lines.append(f"- Counted at the end: {found.counted}: {verdict}.")
    lines += [f"- {line}" for line in _trends(found.samples)]
    return "\n".join(lines)


def _trends(samples: Sequence[Sample]) -> Iterator[str]:
    """First and last quarter, and growth per hour within the longest life."""
    if len(samples) < 8:
        return
    quarter = len(samples) // 4
    for name, figure in (
        ("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"), ("a worker's memory, MiB", "worker_mb"),
        ("the database's memory, MiB", "database_mb"),
    ):  # fmt: skip
        first = statistics.median(getattr(s, figure) for s in samples[:quarter])
        last = statistics.median(getattr(s, figure) for s in samples[-quarter:])
        lives = itertools.groupby(samples, key=lambda s: s.life)
        longest = max((list(group) for _, group in lives), key=len)
        warm_ones = [s for s in longest if s.at > longest[0].at + SETTLE_SECONDS]
        grown = slope([(s.at / 3600, getattr(s, figure)) for s in warm_ones])
        yield (
            f"{name}: {number(first)} in the first quarter, {number(last)} in the last; within "
            f"the longest life {round(grown, 1) + 0.0:+} an hour."
        )
