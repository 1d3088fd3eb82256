"""Streams: one publish to many dashboards, until the last of them has it."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Mapping
from functools import partial

import redis

from benchmarks.audience import Connections
from benchmarks.databases import Databases
from benchmarks.harness import Figures, interleave, median, number, percentile, spread
from benchmarks.report import Result, table
from benchmarks.stages import BEARER, STAGES, Open, Stage, dmstats

COLUMNS = (
    "last client p50 ms",
    "last client p99 ms",
    "CPU µs per client",
    "kB each",
    "Redis subscriptions",
    "lost",
)
SPARE_FILES = 1_000
PUBLISHES = 10


def streams(databases: Databases, *, quick: bool) -> Result:
    """100, 1,000 and 10,000 open streams."""
    counts = (100,) if quick else (100, 1_000, 10_000)
    raw: dict[str, dict[str, list[Figures]]] = {}
    notes: list[str] = []
    with databases.fresh() as mongo:
        stages = _present(databases, mongo.db.name, notes)
        for count in counts:
            contestants = {
                name: partial(_fan_out, databases, partial(stage, databases, mongo.db.name), count)
                for name, stage in _able(stages, count, notes).items()
            }
            raw[str(count)] = interleave(contestants, 1 if quick or count > 1_000 else 2)
    rows = [
        [f"{int(shape):,}", name, *(spread(runs, column) for column in COLUMNS)]
        for shape, results in raw.items()
        for name, runs in results.items()
    ]
    for shape, results in raw.items():
        took = {name: median(runs, COLUMNS[0]) for name, runs in results.items()}
        mine = took.pop("dmstats")
        told = (f"{number(theirs / mine)} times that of {name}" for name, theirs in took.items())
        notes.append(f"{int(shape):,} streams: speed to the last client is {', '.join(told)}.")
    shown = table(["streams", "", *COLUMNS], rows)
    return Result(shown + "\n\n" + "\n".join(f"- {note}" for note in notes), raw)


def _present(databases: Databases, database: str, notes: list[str]) -> dict[str, Open]:
    """The stages that can be set up here; what is missing is said, and is no failure."""
    found = dict(STAGES)
    for name, stage in STAGES.items():
        try:
            with stage(databases, database):
                pass
        except RuntimeError as error:
            notes.append(f"{name} left out: {error}.")
            print(f"  {notes[-1]}", flush=True)
            del found[name]
    return found


def _able(stages: Mapping[str, Open], count: int, notes: list[str]) -> dict[str, Open]:
    able = dict(stages)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 2 * count + SPARE_FILES > files:
        # A connection to Redis for every dashboard: two open files for each.
        able.pop("stock flask-sse", None)
        notes.append(
            f"stock flask-sse is not asked for {count:,} streams: they would need "
            f"{2 * count:,} open files, and a process may have {files:,} here."
        )
    if count > 1_000:
        able["dmstats, 2 workers"] = partial(dmstats, workers=2)
    return able


def _fan_out(
    databases: Databases,
    stage: Callable[[], contextlib.AbstractContextManager[Stage]],
    count: int,
) -> Figures:
    with redis.Redis.from_url(databases.redis_url) as client, stage() as on:
        databases.flush_redis()
        before = on.program.memory()
        with Connections(on.port, on.path, BEARER, count) as audience:
            settled(on, audience)
            connections = len(client.client_list(_type="pubsub"))
            cpu, times, lost = on.program.cpu(), [], 0
            for _ in range(PUBLISHES):
                mark = new_mark()
                on.publish(mark)
                took, missing = audience.hear(mark, seconds=30.0)
                lost += missing
                times.append(took * 1000)
                time.sleep(0.1)
            cpu = on.program.cpu() - cpu
            memory = on.program.memory() - before
    return {
        "last client p50 ms": percentile(times, 0.5),
        "last client p99 ms": max(times),
        "CPU µs per client": 1e6 * cpu / PUBLISHES / count,
        "kB each": memory / count / 1000,
        "Redis subscriptions": connections,
        "lost": lost,
    }


def settled(stage: Stage, audience: Connections, *, seconds: float = 90.0) -> float:
    """Wait until all hear what is published; how long that took, in seconds."""
    started = time.perf_counter()
    patience = max(2.0, len(audience) / 500)
    while time.perf_counter() - started < seconds:
        mark = new_mark()
        stage.publish(mark)
        _, missing = audience.hear(mark, seconds=patience)
        if not missing:
            return time.perf_counter() - started
    raise RuntimeError(f"{missing} streams still silent after {seconds:.0f} s")


_marks = iter(range(10_000, 10**9))


def new_mark() -> str:
    """A mark that no snapshot has had before."""
    return f"x{next(_marks)}y"
