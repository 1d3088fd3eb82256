"""Admins: the dashboard's API while webhooks flow, more and more of them, the first load."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.contestants import gunicorn_peer, ours
from benchmarks.databases import Databases
from benchmarks.harness import Figures, drive, figures, interleave, percentile, spread
from benchmarks.load import LoadPlan
from benchmarks.programs import Web
from benchmarks.report import Result, table
from benchmarks.stages import BEARER

STATS = "/api/admin/stats"
POLLS = 200
BARE = "0 (a bare application in gunicorn)"
SETTLE_SECONDS = 0.5
ADMINS = (1, 10, 100, 500)
LOADS = 300


def reading(databases: Databases, *, quick: bool) -> Result:
    """Polls of one worker beside webhooks, from 1 to 500 admins, and first loads."""
    seconds, rounds = (2.0, 1) if quick else (6.0, 2)
    cold = _cold(databases)
    with (
        databases.fresh() as mongo,
        ours(databases, mongo.db.name) as web,
        gunicorn_peer(databases, mongo.db.name, "benchmarks.peers.bare:app") as bare,
    ):
        flows = (0, 100) if quick else (0, 50, 200)
        runs = {f"{n}": partial(_polls, web, POLLS, seconds, n) for n in flows}
        runs[BARE] = partial(_polls, bare, POLLS, seconds, 0)
        polls = interleave(runs, rounds)
        admins = interleave({f"{n}": partial(_polls, web, n, seconds, 50) for n in ADMINS}, rounds)
        loads = interleave({"first load": lambda: _first_load(web)}, rounds)
    raw = {"polls": polls, "admins": admins, "first load": loads, "cold": cold}
    return Result(shown(raw), raw)


def shown(raw: Mapping[str, Any], _: str = "") -> str:
    """The table, and the first loads."""
    columns = ("POSTs/s", "p50 ms", "p99 ms", "not 200", "CPU %")
    head = ["GET/s", "p50 ms", "p99 ms", "not 200", "CPU % of a core, webhooks included"]
    rows = [
        [str(POLLS), name, *(spread(runs, column) for column in columns)]
        for name, runs in raw["polls"].items()
    ]
    rows += [
        [name, "50", *(spread(runs, column) for column in columns)]
        for name, runs in raw["admins"].items()
    ]
    first, cold = raw["first load"]["first load"], raw["cold"]
    notes = (
        f"- 100 admins at once with nothing cached or stored: {cold['computations']} "
        f"computation(s) for {cold['answers']:,} answers in half a second.\n"
        f"- First load of the dashboard on a new connection, figures included: p50 "
        f"{spread(first, 'page p50 ms')} ms, p99 {spread(first, 'page p99 ms')} ms; with the API's "
        f"answer: p99 {spread(first, 'both p99 ms')} ms."
    )
    head = ["admins, one poll a second each", "webhook DMs/s", *head]
    return f"{table(head, rows)}\n\n{notes}"


def _polls(web: Web, rate: int, seconds: float, webhooks: int) -> Figures:
    plan = LoadPlan(
        port=web.port, seconds=seconds, get=[STATS], headers=BEARER, rate=rate,
        connections=min(rate, 500), settle=SETTLE_SECONDS,
    )  # fmt: skip
    cpu = web.program.cpu()
    if webhooks:
        traffic = LoadPlan(
            port=web.port, seconds=seconds + SETTLE_SECONDS + 1.5, dms=1, rate=webhooks,
            most=int((seconds + SETTLE_SECONDS + 3) * webhooks),
        )  # fmt: skip
        beside = threading.Thread(target=drive, args=(traffic,))
        beside.start()
        outcome = drive(plan)
        beside.join()
    else:
        outcome = drive(plan)
    spent = web.program.cpu() - cpu
    return figures(outcome, 0) | {
        "CPU µs": 1e6 * spent / max(1, outcome.answered),
        "CPU %": 100 * spent / outcome.seconds,
    }


def _first_load(web: Web) -> Figures:
    """A dashboard opened again and again, from a new connection each time."""
    page: list[float] = []
    both: list[float] = []
    for _ in range(LOADS):
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
        try:
            started = time.perf_counter()
            for place, took in (("/", page), (STATS, both)):
                connection.request("GET", place, headers=BEARER)
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{place}: {answer.status}")
                took.append(1000 * (time.perf_counter() - started))
        finally:
            connection.close()
    return {
        "page p50 ms": percentile(page, 0.5),
        "page p99 ms": percentile(page, 0.99),
        "both p99 ms": percentile(both, 0.99),
    }


def _cold(databases: Databases) -> dict[str, int]:
    """A hundred first requests at once, and no refresher; the version counts the computations."""
    databases.flush_redis()
    off = {"STATS_REFRESHER": "off"}
    with databases.fresh() as mongo, ours(databases, mongo.db.name, extra=off) as web:
        plan = LoadPlan(port=web.port, seconds=0.5, get=[STATS], headers=BEARER, connections=100)
        measured = drive(plan)
        request = urllib.request.Request(f"http://127.0.0.1:{web.port}{STATS}", headers=BEARER)
        with urllib.request.urlopen(request, timeout=10) as answer:
            _, _, sequence = json.load(answer)["version"].partition("-")
    databases.flush_redis()
    return {"computations": int(sequence), "answers": measured.statuses.get("200", 0)}
