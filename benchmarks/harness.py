"""Interleaved measurements: A B A B ..., then medians, spread and ratios."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from benchmarks.load import LoadPlan, Measured

Figures = dict[str, float]


def drive(plan: LoadPlan, during: Callable[[], None] = lambda: None) -> Measured:
    """Run the load generator by ``plan`` in its own process; ``during`` runs meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(plan).decode() + "\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdin.write("go\n")
        process.stdin.flush()
        during()
        told: dict[str, Any] = json.loads(process.stdout.readline())
    return msgspec.convert(told, Measured)


def percentile(values: list[float], share: float) -> float:
    """The nearest rank: the least of ``values`` that ``share`` (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    rank = math.ceil(round(share * len(ordered), 6))
    return ordered[max(0, rank - 1)] if ordered else 0.0


def figures(measured: Measured, dms: int) -> Figures:
    """Rates per second and latencies in ms."""
    return {
        "POSTs/s": measured.answered / measured.seconds,
        "DMs/s": dms * measured.answered / measured.seconds,
        "p50 ms": percentile(measured.latencies, 0.5),
        "p99 ms": percentile(measured.latencies, 0.99),
        "p99.9 ms": percentile(measured.latencies, 0.999),
        "not 200": sum(n for status, n in measured.statuses.items() if status != "200"),
        "generator CPU %": 100 * measured.cpu,
    }


def interleave(
    contestants: Mapping[str, Callable[[], Figures]], rounds: int
) -> dict[str, list[Figures]]:
    """Every contestant once per round, so that a noisy moment strikes all alike.

    One that fails takes no further part and does not stop the others; without a single result it
    is left out.
    """
    results: dict[str, list[Figures]] = {name: [] for name in contestants}
    failed: set[str] = set()
    for turn in range(rounds):
        for name, run in contestants.items():
            if name in failed:
                continue
            place = f"  round {turn + 1}/{rounds}  {name}"
            try:
                outcome = run()
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                print(f"{place}: FAILED: {error!r}", flush=True)
                failed.add(name)
                continue
            results[name].append(outcome)
            shown = ", ".join(f"{key} {number(value)}" for key, value in outcome.items())
            print(f"{place}: {shown}", flush=True)
    return {name: runs for name, runs in results.items() if runs}


def median(runs: list[Figures], figure: str) -> float:
    """The median over the rounds."""
    return statistics.median(run[figure] for run in runs)


def spread(runs: list[Figures], figure: str) -> str:
    """``median (least-most)``, rounded for reading."""
    values = [run[figure] for run in runs]
    middle = statistics.median(values)
    if len(values) == 1:
        return number(middle)
    return f"{number(middle)} ({number(min(values))}-{number(max(values))})"


def number(value: float) -> str:
    """A figure with three significant digits, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")
