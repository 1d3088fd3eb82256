"""Counting: ours against plain writes, several workers, and the web server alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from benchmarks.harness import Figures, drive, figures, interleave, median, number, spread
from benchmarks.load import Plan
from benchmarks.programs import Databases, Program, Web, free_port, gunicorn_peer, ours
from benchmarks.programs import listens as listening
from benchmarks.report import Result, table
from dmstats.store.client import Mongo
from dmstats.store.ledger import Ledger
from dmstats.store.tally import read_tallies

SHAPES = (1, 20)
CONNECTIONS = 64
MOST_PER_SECOND = {1: 8_000, 20: 1_000, 100: 250}
"""Requests made ahead for each second of a run; a run that uses them up says so."""


def generator(databases: Databases, *, quick: bool) -> Result:  # noqa: ARG001 - as all benchmarks
    """The load generator against a server that does nothing."""
    import sys  # noqa: PLC0415 - the interpreter's own path, here alone

    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.responder"]
    raw: dict[str, list[Figures]] = {}
    with Program(command, {"PORT": str(port)}, lambda: listening(port)):
        for dms in SHAPES:
            plan = Plan(port=port, seconds=2 if quick else 4, dms=dms, most=2000, repeat=True)
            raw |= interleave({f"{dms} DM": partial(_alone, plan)}, 3)
    rows = [
        [shape, spread(runs, "POSTs/s"), spread(runs, "p99 ms"), spread(runs, "generator CPU %")]
        for shape, runs in raw.items()
    ]
    head = ["per POST", "POSTs/s", "p99 ms", "generator's CPU %"]
    return Result(table(head, rows), raw)


def _alone(plan: Plan) -> Figures:
    return figures(drive(plan), plan.dms)


def ingest(databases: Databases, *, quick: bool) -> Result:
    """dmstats and plain writes side by side on one database server."""
    seconds, rounds = (3, 2) if quick else (8, 3)
    raw: dict[str, dict[str, list[Figures]]] = {}
    with contextlib.ExitStack() as stack:
        mongo = stack.enter_context(databases.fresh())
        other = stack.enter_context(databases.fresh())
        databases.flush_redis()
        mine = stack.enter_context(ours(databases, mongo.db.name))
        peer = stack.enter_context(
            gunicorn_peer(databases, other.db.name, "benchmarks.peers.plain:app")
        )
        for web in (mine, peer):
            warm(web)
        for dms in SHAPES:
            print(f"{dms} DMs per POST", flush=True)
            contestants = {
                "dmstats": run(mine, databases, dms, seconds),
                "plain writes": run(peer, databases, dms, seconds),
            }
            raw[str(dms)] = interleave(contestants, rounds)
        exactness = exact(mongo)
    head = ["DMs per POST", "", "DMs/s", "p50 ms", "p99 ms", "CPU µs per DM: app", "database"]
    rows, notes = [], [f"Afterwards, dmstats' counters: {exactness}."]
    for shape, results in raw.items():
        for name, runs in results.items():
            columns = ("DMs/s", "p50 ms", "p99 ms", "app µs/DM", "database µs/DM")
            rows.append([shape, name, *(spread(runs, column) for column in columns)])
        one, two = results["dmstats"], results["plain writes"]
        ratio = median(one, "DMs/s") / median(two, "DMs/s")
        tail = median(one, "p99 ms") / median(two, "p50 ms")
        notes.append(
            f"{shape} DMs per POST: {number(ratio)} times the DMs/s; "
            f"p99 is {number(tail)} times the plain writes' p50."
        )
    return Result(table(head, rows) + "\n\n" + "\n".join(f"- {note}" for note in notes), raw)


def workers(databases: Databases, *, quick: bool) -> Result:
    """How throughput changes with the number of committers on one database."""
    seconds, rounds = (3, 1) if quick else (5, 2)
    numbers = (1, 2) if quick else (1, 2, 4, 8)
    raw: dict[str, dict[str, list[Figures]]] = {}
    with contextlib.ExitStack() as stack:
        webs: dict[str, Web] = {}
        for count in numbers:
            mongo = stack.enter_context(databases.fresh())
            webs[str(count)] = stack.enter_context(ours(databases, mongo.db.name, workers=count))
            warm(webs[str(count)])
        for dms in SHAPES:
            contestants = {name: run(web, databases, dms, seconds) for name, web in webs.items()}
            raw[str(dms)] = interleave(contestants, rounds)
    rows: list[list[str]] = []
    for shape, results in raw.items():
        base = median(results["1"], "DMs/s")
        for name, runs in results.items():
            ratio = number(median(runs, "DMs/s") / base)
            rows.append([shape, name, spread(runs, "DMs/s"), ratio, spread(runs, "p99 ms")])
    return Result(table(["DMs per POST", "workers", "DMs/s", "of one", "p99 ms"], rows), raw)


def webhook(databases: Databases, *, quick: bool) -> Result:
    """One worker whose committer does nothing: the cost of HTTP, signature and decoding."""
    seconds, rounds = (2, 2) if quick else (5, 3)
    raw: dict[str, list[Figures]] = {}
    extra = {"BENCH_APPLICATION": "benchmarks.peers.null:app"}
    with databases.fresh() as mongo, ours(databases, mongo.db.name, extra=extra) as web:
        for dms in SHAPES:
            raw |= interleave({str(dms): run(web, databases, dms, seconds, repeat=True)}, rounds)
    rows = [
        [shape, *(spread(runs, column) for column in ("POSTs/s", "DMs/s", "app µs/POST"))]
        for shape, runs in raw.items()
    ]
    return Result(table(["DMs per POST", "POSTs/s", "DMs/s", "CPU µs per POST"], rows), raw)


def warm(web: Web) -> None:
    """A moment of traffic, so that accounts and connections are there."""
    drive(Plan(port=web.port, seconds=1.5, dms=20, most=2000))


def run(
    web: Web, databases: Databases, dms: int, seconds: float, *, repeat: bool = False
) -> Callable[[], Figures]:
    """One run against ``web``, with the CPU that it and the database spent per DM."""
    most = 2000 if repeat else int(seconds * MOST_PER_SECOND[dms])

    def once() -> Figures:
        plan = Plan(
            port=web.port, seconds=seconds, connections=CONNECTIONS, dms=dms, most=most,
            repeat=repeat,
        )  # fmt: skip
        app, database = web.program.cpu(), databases.cpu()
        measured = drive(plan)
        posts = max(1, measured.answered)
        spent = 1e6 * (web.program.cpu() - app) / posts
        return figures(measured, dms) | {
            "app µs/POST": spent,
            "app µs/DM": spent / dms,
            "database µs/DM": 1e6 * (databases.cpu() - database) / posts / dms,
            "exhausted": float(measured.exhausted),
        }

    return once


def exact(mongo: Mongo) -> str:
    """Whether ledger, accounts, hours, days and totals agree."""
    tallies = read_tallies(mongo, Ledger(mongo, retention_hours=168))
    (one, *others) = tallies.values()
    if all(other == one for other in others):
        return f"{one.sent + one.received:,} DMs, the same in {', '.join(tallies)}"
    return f"NOT EXACT: {tallies}"
