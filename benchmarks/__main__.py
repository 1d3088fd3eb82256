"""``python -m benchmarks [--quick] [NAME ...]``: measure, and write it into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import resource
import time
from typing import Protocol

from benchmarks.constant import loads
from benchmarks.ingest import generator, ingest, webhook, workers
from benchmarks.limits import limits
from benchmarks.memory import memory
from benchmarks.programs import Databases
from benchmarks.reading import reading, streams
from benchmarks.report import Result, machine, write


class Benchmark(Protocol):
    """Measures and tells."""

    def __call__(self, databases: Databases, *, quick: bool) -> Result: ...


ALL: dict[str, Benchmark] = {
    "generator": generator,
    "webhook": webhook,
    "ingest": ingest,
    "workers": workers,
    "limits": limits,
    "reading": reading,
    "streams": streams,
    "memory": memory,
    "loads": loads,
}


def main() -> None:
    """Run what is named, else all, each on databases of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--quick", action="store_true", help="minutes instead of half an hour")
    told = parser.parse_args()
    if unknown := set(told.names) - ALL.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    # A thousand streams need more open files than a shell gives; what is started inherits it.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for name in told.names or ALL:
        _run(name, ALL[name], quick=told.quick)


def _run(name: str, benchmark: Benchmark, *, quick: bool) -> None:
    started = time.monotonic()
    databases = Databases()
    try:
        about = machine(databases)
        print(f"\n{name}: {about}", flush=True)
        result = benchmark(databases, quick=quick)
    finally:
        databases.close()
    # Figures of another database stand beside those of the embedded one, not in their place.
    place = name if databases.program else f"{name}-external"
    write(place, result, about, quick=quick)
    print(f"\n{result.markdown}\n({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
