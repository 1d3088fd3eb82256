"""Counting: dmstats beside the usual alternatives, in one interleaved run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.contestants import INGEST, Start, fastify_bulk, our_hosts
from benchmarks.databases import Databases
from benchmarks.harness import Figures, interleave, median, number, spread
from benchmarks.plots import bars
from benchmarks.report import RAW, Result, place, table
from benchmarks.runs import CONNECTIONS, Contender, contenders, exact, post, times

SHAPES = (1, 20, 100)
HOSTS = (1, 2, 4)
BULK = "Node, bulk writes"
STARTS: dict[str, Start] = {**INGEST, BULK: fastify_bulk}
COLUMNS = ("DMs/s", "p50 ms", "p99 ms", "p99.9 ms", "app µs/DM", "database µs/DM", "bytes/DM")
HEAD = ["DMs/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs per DM: app", "database", "bytes per DM"]
SPREADS: dict[str, dict[str, Any]] = {
    "50,000 accounts": {"accounts": 50_000},
    "500 accounts, one takes half": {"accounts": 500, "skew": 0.5},
}

Results = dict[str, dict[str, list[Figures]]]


def ingest(databases: Databases, *, quick: bool) -> Result:
    """1, 20 and 100 DMs per POST."""
    seconds, rounds = (2.0, 1) if quick else (4.0, 3)
    raw: Results = {}
    with contenders(databases, STARTS) as running:
        for dms in SHAPES:
            print(f"{dms} DMs per POST", flush=True)
            raw[str(dms)] = _turns(
                {n: c for n, c in running.items() if dms > 1 or n != BULK},
                databases, rounds, dms=dms, seconds=seconds, connections=in_flight(dms),
            )  # fmt: skip
        exactness = exact(running["dmstats"][1])
    rates = {
        _per_post(shape): {name: median(runs, "DMs/s") for name, runs in results.items()}
        for shape, results in raw.items()
    }
    name = place("ingest", databases.kind)
    bars(rates, f"DMs/s on the {databases.kind} database", RAW / f"{name}.png")
    return Result(ingest_shown(raw, name), raw, [f"Afterwards, dmstats' counters: {exactness}."])


def ingest_shown(raw: Results, name: str) -> str:
    """The table, the picture, and how many times the DMs/s of each peer."""
    shown = table(["DMs per POST", "", *HEAD], _rows(raw))
    return f"{shown}\n\n![DMs per second](benchmarks/{name}.png)\n\n{_all_compared(raw)}"


def in_flight(dms: int) -> int:
    """How many POSTs of ``dms`` are sent at once: with many DMs in each, peers would otherwise take
    half a minute to answer what is in flight at the end."""
    return CONNECTIONS if dms <= SHAPES[1] else CONNECTIONS // 4


def spreads(databases: Databases, *, quick: bool) -> Result:
    """Many accounts, and one that takes half of all, with 1 and 20 DMs per POST."""
    seconds, rounds = (2.0, 1) if quick else (3.0, 2)
    raw: Results = {}
    for shape, told in SPREADS.items():
        known = min(int(told["accounts"]), 2000) if quick else int(told["accounts"])
        with contenders(databases, INGEST, accounts=known) as running:
            for dms in SHAPES[:2]:
                print(f"{shape}, {dms} DMs per POST", flush=True)
                raw[f"{shape}, {dms}"] = _turns(
                    running, databases, rounds, dms=dms, seconds=seconds, **told
                )
    return Result(spreads_shown(raw), raw)


def spreads_shown(raw: Results, _: str = "") -> str:
    """The table, and how many times the DMs/s of each peer."""
    shown = table(["accounts, DMs per POST", "", *HEAD], _rows(raw))
    return f"{shown}\n\n{_all_compared(raw)}"


def hosts(databases: Databases, *, quick: bool) -> Result:
    """How throughput changes with the number of hosts on one database, each with its committer."""
    seconds, rounds = (2.0, 1) if quick else (4.0, 3)
    starts: dict[str, Start] = {str(n): partial(our_hosts, hosts=n) for n in HOSTS}
    raw: Results = {}
    with contenders(databases, starts) as running:
        for dms in SHAPES[:2]:
            raw[str(dms)] = _turns(running, databases, rounds, dms=dms, seconds=seconds)
        exactness = exact(running[str(HOSTS[-1])][1])
    note = f"Afterwards, the counters of {HOSTS[-1]} hosts: {exactness}."
    return Result(hosts_shown(raw), raw, [note])


def hosts_shown(raw: Results, _: str = "") -> str:
    """The table."""
    rows = [
        [shape, count, *_beside_one(runs, results["1"])]
        for shape, results in raw.items()
        for count, runs in results.items()
    ]
    return table(["DMs per POST", "hosts", "DMs/s", "of one", *HEAD[1:]], rows)


def _turns(
    running: Mapping[str, Contender], databases: Databases, rounds: int, **told: Any
) -> dict[str, list[Figures]]:
    runs = {name: post(web, databases, **told) for name, (web, _) in running.items()}
    return interleave(runs, rounds)


def _beside_one(runs: list[Figures], one: list[Figures]) -> list[str]:
    """The columns of ``runs``, after the first of them how many times the DMs/s of ``one``."""
    ratio = number(median(runs, "DMs/s") / max(1e-9, median(one, "DMs/s")))
    first, *others = (spread(runs, column) for column in COLUMNS)
    return [first, ratio, *others]


def _rows(raw: Results) -> list[list[str]]:
    return [
        [shape, name, *(spread(runs, column) for column in COLUMNS)]
        for shape, results in raw.items()
        for name, runs in results.items()
    ]


def _per_post(shape: str) -> str:
    """``shape`` ends in the number of DMs."""
    return f"{shape} {'DM' if shape.rsplit(maxsplit=1)[-1] == '1' else 'DMs'} per POST"


def _all_compared(raw: Results) -> str:
    """How many times the DMs/s of each peer, a line per shape."""
    lines = []
    for shape, results in raw.items():
        beside = (f"{name} {number(n)}" for name, n in times(results, "DMs/s").items())
        lines.append(f"- {_per_post(shape)}, times the DMs/s of: {', '.join(beside)}.")
    return "\n".join(lines)
