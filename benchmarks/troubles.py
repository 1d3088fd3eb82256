"""Streams in trouble: dashboards that vanish, that do not read, and that all come back at once."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.audience import Connections
from benchmarks.databases import Databases
from benchmarks.harness import number, percentile
from benchmarks.report import Result, table
from benchmarks.stages import BEARER, STAGES, Stage
from benchmarks.streams import new_mark, settled

FREED_SECONDS = 40.0
DEAF = 50
HEARERS = 100
PUSHES = 300
PUSH_SECONDS = 30.0
"""Snapshots to clients that do not read: more bytes than the sockets between can hold."""


def troubles(databases: Databases, *, quick: bool) -> Result:
    """Each stage is put through all three."""
    crowd = 200 if quick else 1_000
    raw: dict[str, Any] = {}
    notes = []
    with databases.fresh() as mongo:
        for name, stage in STAGES.items():
            raw[name] = {}
            for trouble in (_dead, _slow, _stampede):
                try:
                    with stage(databases, mongo.db.name) as on:
                        raw[name] |= trouble(on, crowd)
                except Exception as error:  # noqa: BLE001 - the other stages go on
                    notes.append(f"- {name}, {trouble.__name__.strip('_')}: {error}.")
            print(f"  {name}: {raw[name]}", flush=True)
    rows = [
        [name, *(_shown(told.get(figure)) for figure in FIGURES)]
        for name, told in raw.items()
        if told
    ]
    return Result(table(["", *FIGURES], rows) + "\n\n" + "\n".join(notes), raw)


def _dead(on: Stage, crowd: int) -> dict[str, float]:
    """All vanish, and nothing is published: how long they hold on to their connections."""
    before = on.program.files()
    with Connections(on.port, on.path, BEARER, crowd) as audience:
        settled(on, audience)
        audience.vanish()
        started = time.perf_counter()
        while (left := on.program.files() - before) > crowd // 20:
            if time.perf_counter() - started > FREED_SECONDS:
                break
            time.sleep(0.25)
    return {FREED: time.perf_counter() - started, HELD: max(0, left)}


def _slow(on: Stage, crowd: int) -> dict[str, float]:  # noqa: ARG001 - as the others
    """Some never read: what they cost the worker, and those who do read."""
    times: list[float] = []
    with Connections(on.port, on.path, BEARER, HEARERS) as audience:
        settled(on, audience)
        before = on.program.memory()
        audience.join_deaf(DEAF)
        end = time.perf_counter() + PUSH_SECONDS
        for _ in range(PUSHES):
            if time.perf_counter() > end:
                break
            mark = new_mark()
            on.publish(mark)
            took, missing = audience.hear(mark, seconds=5.0)
            times.append(took * 1000 if not missing else 5_000.0)
        grown = on.program.memory() - before
    return {BESIDE: percentile(times, 0.99), EACH: max(0.0, grown / DEAF / 1000)}


def _stampede(on: Stage, crowd: int) -> dict[str, float]:
    """All are cut off and come back in the same moment."""
    with Connections(on.port, on.path, BEARER, crowd) as audience:
        settled(on, audience)
        audience.vanish()
        started = time.perf_counter()
        audience.join(crowd)
        settled(on, audience)
        return {BACK: time.perf_counter() - started}


def _shown(value: float | None) -> str:
    return "failed" if value is None else number(value)


FREED = "s until the dead are freed (nothing published; 40: not at all)"
HELD = "connections still held then"
BESIDE = f"p99 ms of {HEARERS} readers beside {DEAF} who do not read"
EACH = "kB grown per client that does not read"
BACK = "s until all are back after a stampede"
FIGURES = (FREED, HELD, BESIDE, EACH, BACK)
