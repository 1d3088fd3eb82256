"""Admins: the dashboard's API while webhooks flow, a cold start of a hundred, and streams."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any

import redis

from benchmarks.harness import Figures, drive, figures, interleave, median, number, spread
from benchmarks.load import Plan
from benchmarks.programs import TOKEN, Databases, Web, gunicorn_peer, ours
from benchmarks.report import Result, table
from benchmarks.streams import Audience
from dmstats.clock import rfc3339
from dmstats.live.feed import CHANNEL

STATS = "/api/admin/stats"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
POLLS = 200
SETTLE_SECONDS = 30


def reading(databases: Databases, *, quick: bool) -> Result:
    """Polls of one worker at a set rate, with and without webhooks at the same time."""
    seconds, rounds = (4, 1) if quick else (10, 3)
    with databases.fresh() as mongo, ours(databases, mongo.db.name) as web:
        databases.flush_redis()
        cold = _cold(databases, web)

        def polls(webhooks: int) -> Figures:
            plan = Plan(port=web.port, seconds=seconds, get=STATS, headers=BEARER, rate=POLLS)
            if not webhooks:
                return figures(drive(plan), 0)
            traffic = Plan(
                port=web.port, seconds=seconds + 1.5, dms=1, rate=webhooks,
                most=int((seconds + 3) * webhooks),
            )  # fmt: skip
            beside = threading.Thread(target=drive, args=(traffic,))
            beside.start()
            outcome = figures(drive(plan), 0)
            beside.join()
            return outcome

        contestants = {
            f"{n} DMs/s beside": lambda n=n: polls(n) for n in ((0, 100) if quick else (0, 50, 200))
        }
        raw = interleave(contestants, rounds)
    rows = [
        [name, *(spread(runs, column) for column in ("POSTs/s", "p50 ms", "p99 ms", "not 200"))]
        for name, runs in raw.items()
    ]
    shown = table(["webhooks", "GET/s", "p50 ms", "p99 ms", "not 200"], rows)
    note = (
        f"- 100 admins at once on a cold cache: {cold['refreshes']} computation, {cold['answers']}."
    )
    return Result(f"{shown}\n\n{note}", {"polls": raw, "cold": cold})


def _cold(databases: Databases, web: Web) -> dict[str, Any]:
    """A hundred first requests at once; a snapshot's number counts the computations."""
    with redis.Redis.from_url(databases.redis_url) as client:
        client.delete("admin:stats")
    before = _version(web)
    with redis.Redis.from_url(databases.redis_url) as client:
        client.delete("admin:stats")
    measured = drive(Plan(port=web.port, seconds=0.5, get=STATS, headers=BEARER, connections=100))
    after = _version(web)
    return {
        "refreshes": max(1, after[1] - before[1]),
        "answers": f"{measured.statuses.get('200', 0):,} answers in half a second",
        "versions": [before, after],
    }


def _version(web: Web) -> tuple[int, int]:
    request = urllib.request.Request(f"http://127.0.0.1:{web.port}{STATS}", headers=BEARER)
    with urllib.request.urlopen(request, timeout=10) as answer:
        term, _, sequence = json.load(answer)["version"].partition("-")
    return int(term), int(sequence)


def streams(databases: Databases, *, quick: bool) -> Result:
    """One publish to many dashboards: ours and stock flask-sse."""
    numbers = (100,) if quick else (100, 500, 1000)
    rounds = 2 if quick else 3
    raw: dict[str, dict[str, list[Figures]]] = {}
    with databases.fresh() as mongo:
        stock = "benchmarks.peers.stock_sse:app"
        contestants = {
            "dmstats": (partial(ours, databases, mongo.db.name), f"{STATS}/stream"),
            "stock flask-sse": (
                partial(gunicorn_peer, databases, mongo.db.name, stock), "/stream",
            ),
        }  # fmt: skip
        for count in numbers:
            raw[str(count)] = interleave(
                {
                    name: partial(_fan_out, databases, start, path, count)
                    for name, (start, path) in contestants.items()
                },
                rounds,
            )
    rows, notes = [], []
    columns = (
        "last client p50 ms",
        "last client p99 ms",
        "kB each",
        "Redis subscriptions",
        "lost",
    )
    for shape, results in raw.items():
        for name, runs in results.items():
            rows.append([shape, name, *(spread(runs, column) for column in columns)])
        sooner = median(results["stock flask-sse"], columns[0]) / median(
            results["dmstats"], columns[0]
        )
        notes.append(f"- {shape} streams: the last client hears it {number(sooner)} times sooner.")
    return Result(table(["streams", "", *columns], rows) + "\n\n" + "\n".join(notes), raw)


def _fan_out(databases: Databases, start: Callable[[], Web], path: str, count: int) -> Figures:
    with redis.Redis.from_url(databases.redis_url) as client, start() as web:
        before = web.program.memory()
        with Audience(web.port, path, BEARER, count) as audience:
            connections = _settled(client)
            times, lost = [], 0
            for n in range(10):
                _publish(client, 10_000 + n)
                took, missing = audience.hear(f"x{10_000 + n}")
                lost += missing
                times.append(took * 1000)
                time.sleep(0.1)
            memory = web.program.memory() - before
    ordered = sorted(times)
    return {
        "last client p50 ms": ordered[len(ordered) // 2],
        "last client p99 ms": ordered[-1],
        "kB each": memory / count / 1000,
        "Redis subscriptions": connections,
        "lost": lost,
    }


def _settled(client: redis.Redis) -> int:
    """Wait until all streams are open: the number of subscriptions stays. What is published
    meanwhile keeps stock flask-sse's from timing out, and brings its headers."""
    seen = -1
    for _ in range(SETTLE_SECONDS):
        time.sleep(1.0)
        _publish(client, 1)
        now = len(client.client_list(_type="pubsub"))
        if now == seen and now:
            break
        seen = now
    return seen


_newest = iter(range(1, 10**9))


def _publish(client: redis.Redis, serial: int) -> None:
    """A snapshot of the usual size, newer than all before, in flask-sse's format."""
    version = f"1000000-{next(_newest)}"
    snapshot = {
        "version": version, "computedAt": rfc3339(time.time_ns() // 1_000_000),
        "mark": f"x{serial}", "series": [{"at": rfc3339(n), "sent": n} for n in range(114)],
    }  # fmt: skip
    client.publish(CHANNEL, json.dumps({"data": snapshot, "type": "stats", "id": version}))
    client.publish("sse", json.dumps({"data": snapshot, "type": "stats", "id": version}))
