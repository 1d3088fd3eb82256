"""Parts alone: the load generator without a server to wait for, the web server without counting."""

from __future__ import annotations

import sys
from functools import partial

from benchmarks.contestants import gunicorn_peer, ours
from benchmarks.databases import Databases
from benchmarks.harness import Figures, drive, figures, interleave, spread
from benchmarks.load import LoadPlan
from benchmarks.programs import Program, listens
from benchmarks.report import Result, table
from benchmarks.runs import post
from dmstats.embedded.servers import free_port

SHAPES = (1, 20, 100)


def generator(databases: Databases, *, quick: bool) -> Result:  # noqa: ARG001 - as all benchmarks
    """The load generator against a server that does nothing."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.responder"]

    def once(dms: int) -> Figures:
        plan = LoadPlan(port=port, seconds=1 if quick else 3, dms=dms, most=2000, repeat=True)
        return figures(drive(plan), dms)

    with Program(command, {"PORT": str(port)}, lambda: listens(port)):
        raw = interleave({str(dms): partial(once, dms) for dms in SHAPES[:2]}, 3)
    columns = ("POSTs/s", "DMs/s", "p99 ms", "generator CPU %")
    rows = [[shape, *(spread(runs, column) for column in columns)] for shape, runs in raw.items()]
    return Result(table(["DMs per POST", *columns], rows), raw)


def webhook(databases: Databases, *, quick: bool) -> Result:
    """One worker whose committer does nothing: the cost of HTTP, signature and decoding; beside it
    a bare application, which shows how much of that is gunicorn's."""
    seconds, rounds = (1.5, 1) if quick else (4.0, 3)
    extra = {"BENCH_APPLICATION": "benchmarks.peers.null:app"}
    raw: dict[str, dict[str, list[Figures]]] = {}
    with (
        databases.fresh() as mongo,
        ours(databases, mongo.db.name, extra=extra) as web,
        gunicorn_peer(databases, mongo.db.name, "benchmarks.peers.bare:app") as bare,
    ):
        for dms in SHAPES:
            runs = {
                name: post(each, databases, dms=dms, seconds=seconds, repeat=True)
                for name, each in (("dmstats", web), ("bare application", bare))
            }
            raw[str(dms)] = interleave(runs, rounds)
    columns = ("POSTs/s", "DMs/s", "p99 ms", "app µs/POST")
    rows = [
        [shape, name, *(spread(runs, column) for column in columns)]
        for shape, results in raw.items()
        for name, runs in results.items()
    ]
    return Result(table(["DMs per POST", "", *columns[:3], "CPU µs per POST"], rows), raw)
