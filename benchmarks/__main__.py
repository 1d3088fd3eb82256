"""``python -m benchmarks [--quick] [NAME ...]``: measure, and write docs/benchmarks.md."""

from __future__ import annotations

import argparse
import enum
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from benchmarks import endurance, report, tables
from benchmarks.account_states import account_states
from benchmarks.alone import generator, webhook
from benchmarks.commits import commits
from benchmarks.constant import loads
from benchmarks.databases import EMBEDDED, Databases, kinds
from benchmarks.growth import growth
from benchmarks.guarantees import guarantees
from benchmarks.history import history
from benchmarks.ingest import hosts, ingest, spreads
from benchmarks.limits import limits
from benchmarks.memory import memory
from benchmarks.reading import reading
from benchmarks.refresh import refresh
from benchmarks.rush import rush
from benchmarks.scaling import scaling
from benchmarks.service import service
from benchmarks.streams import streams
from benchmarks.troubles import troubles
from benchmarks.workers import workers


class Benchmark(Protocol):
    """Measures, and shows what it found."""

    def __call__(self, databases: Databases, *, quick: bool) -> report.Result: ...


class Where(enum.Enum):
    """Which of the available databases a benchmark runs on."""

    EVERY = enum.auto()
    EMBEDDED = enum.auto()  # it hardly touches the database, or is about the embedded one
    FASTEST = enum.auto()  # where the database limits the result least


class Part(msgspec.Struct):
    """A benchmark, and where it is run."""

    run: Benchmark
    where: Where = Where.EMBEDDED

    def kinds(self) -> list[str]:
        """The databases to run it on."""
        there = kinds()
        return {Where.EVERY: there, Where.EMBEDDED: there[:1], Where.FASTEST: there[-1:]}[
            self.where
        ]


DERIVED: dict[str, Callable[[], report.Result]] = {"growth": growth, "scaling": scaling}
"""These measure nothing: they use the stored measurements of the others."""


ALL: dict[str, Part] = {
    "generator": Part(generator),
    "webhook": Part(webhook),
    "ingest": Part(ingest, Where.EVERY),
    "spreads": Part(spreads, Where.FASTEST),
    "workers": Part(workers, Where.EVERY),
    "hosts": Part(hosts, Where.FASTEST),
    "guarantees": Part(guarantees, Where.FASTEST),
    "service": Part(service, Where.EVERY),
    "limits": Part(limits, Where.EVERY),
    "commits": Part(commits, Where.EVERY),
    "reading": Part(reading),
    "rush": Part(rush, Where.FASTEST),
    "refresh": Part(refresh, Where.EVERY),
    "history": Part(history, Where.EVERY),
    "streams": Part(streams),
    "troubles": Part(troubles),
    "memory": Part(memory),
    "loads": Part(loads, Where.FASTEST),
    "states": Part(account_states, Where.FASTEST),
}


def main() -> int:
    """Run the named benchmarks, by default all; 1 if any failed."""
    # SIGTERM unwinds as Ctrl-C does, so that the programs started here end as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Thousands of streams need more open files than a shell gives; what is started inherits it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:2] == ["endurance"]:
        return endurance.main(sys.argv[2:])
    if sys.argv[1:2] == ["tables"]:
        return tables.main()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join([*ALL, *DERIVED, "endurance", "tables"])
    )
    parser.add_argument("--quick", action="store_true", help="minutes instead of half an hour")
    parser.add_argument(
        "--database", choices=kinds(), help="measure on this one alone of those that are here"
    )
    told = parser.parse_args()
    if unknown := set(told.names) - ALL.keys() - DERIVED.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    failed = _run_all(told.names or [*ALL, *DERIVED], told.database, quick=told.quick)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run_all(names: Sequence[str], only: str | None, *, quick: bool) -> list[str]:
    """Run all of ``names``; a failure does not stop the others."""
    started, failed = time.monotonic(), []
    for at, name in enumerate(names):
        for kind in _kinds(name, only):
            place = report.place(name, kind)
            minutes = (time.monotonic() - started) / 60
            print(f"\n[{at + 1}/{len(names)}, {minutes:.1f} min] {place}", flush=True)
            try:
                _run(name, kind, quick=quick)
            except Exception:  # noqa: BLE001 - the others still run
                traceback.print_exc()
                failed.append(place)
    return failed


def _kinds(name: str, only: str | None) -> list[str]:
    if name in DERIVED:
        return [EMBEDDED]
    return [only] if only else ALL[name].kinds()


def _run(name: str, kind: str, *, quick: bool) -> None:
    started = time.monotonic()
    if name in DERIVED:
        result = DERIVED[name]()
        report.write(name, result, report.machine(None), quick=quick)
        print(f"\n{result.markdown}", flush=True)
        return
    databases = Databases(kind)
    try:
        about = report.machine(databases)
        print(about, flush=True)
        result = ALL[name].run(databases, quick=quick)
    finally:
        databases.close()
    report.write(report.place(name, kind), result, about, quick=quick)
    print(f"\n{result.markdown}\n({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
