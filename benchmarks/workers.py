"""How counting changes with the number of workers on one host."""

from __future__ import annotations

from functools import partial

from benchmarks.contestants import Start, ours
from benchmarks.databases import EMBEDDED, Databases
from benchmarks.harness import Figures, interleave, median, number, spread
from benchmarks.report import Result, table
from benchmarks.runs import CONNECTIONS, Contender, contenders, exact, post

WORKERS = (1, 2, 4, 8)
CLOSED = (1, 20)
"""DMs per POST where each worker has :data:`~benchmarks.runs.CONNECTIONS` requests in flight."""
OPEN = {EMBEDDED: (50, 100)}
OPEN_FAST = (400, 800)
"""POSTs/s, one DM each, sent whether or not the former are answered: about 0.4 and 0.8 times what
one worker can count on this kind of database."""
OPEN_CONNECTIONS = 256
COLUMNS = ("DMs/s", "p50 ms", "p99 ms", "app µs/DM", "database µs/DM", "not 200")
HEAD = ["load", "workers", "DMs/s", "of one", "p50 ms", "p99 ms", "CPU µs per DM: app", "database",
        "not 200"]  # fmt: skip

Results = dict[str, dict[str, list[Figures]]]


def workers(databases: Databases, *, quick: bool) -> Result:
    """Closed loop with as many requests in flight per worker, then open loop at fixed rates."""
    seconds, rounds = (2.0, 1) if quick else (4.0, 3)
    starts: dict[str, Start] = {str(count): partial(ours, workers=count) for count in WORKERS}
    raw: Results = {}
    with contenders(databases, starts) as running:
        for dms in CLOSED:
            raw[str(dms)] = _turns(running, databases, rounds, dms=dms, seconds=seconds)
        for rate in OPEN.get(databases.kind, OPEN_FAST):
            raw[f"{rate}/s"] = _turns(running, databases, rounds, rate=rate, seconds=seconds)
        exactness = exact(running[str(WORKERS[1])][1])
    note = f"Afterwards, the counters of {WORKERS[1]} workers: {exactness}."
    return Result(shown(raw), raw, [note])


def shown(raw: Results, _: str = "") -> str:
    """The table."""
    rows = []
    for load, results in raw.items():
        for count, runs in results.items():
            ratio = number(median(runs, "DMs/s") / max(1e-9, median(results["1"], "DMs/s")))
            first, *others = (spread(runs, column) for column in COLUMNS)
            rows.append([_load(load), count, first, ratio, *others])
    return table(HEAD, rows)


def _load(name: str) -> str:
    if name.endswith("/s"):
        return f"{name}, 1 DM per POST"
    return f"closed, {name} {'DM' if name == '1' else 'DMs'} per POST"


def _turns(
    running: dict[str, Contender],
    databases: Databases,
    rounds: int,
    *,
    dms: int = 1,
    rate: float = 0.0,
    seconds: float,
) -> dict[str, list[Figures]]:
    runs = {}
    for count, (web, _) in running.items():
        connections = OPEN_CONNECTIONS if rate else CONNECTIONS * int(count)
        runs[count] = post(
            web, databases, dms=dms, rate=rate, seconds=seconds, connections=connections
        )
    return interleave(runs, rounds)
