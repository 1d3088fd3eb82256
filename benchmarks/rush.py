"""Deliveries while 100 admins change the range of their page in the same instant."""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any

from benchmarks.contestants import ours
from benchmarks.databases import Databases
from benchmarks.harness import Figures, drive, figures, interleave, median, number, spread
from benchmarks.load import LoadPlan
from benchmarks.programs import Web
from benchmarks.report import Result, table
from benchmarks.runs import settle, warm
from dmstats.db.admins.admin_store import AdminStore

RATE = 200.0
"""Deliveries per second, one DM each."""
ADMINS = 100
EVERY_SECONDS = 3.0
RANGES = ("hour", "today", "yesterday", "24h", "7d", "30d", "90d", "month", "last-month", "12m")
"""What the admins choose, by turns."""
EMAIL, PASSWORD = "rush@example.com", "correct horse battery"
WITHOUT, BESIDE = "nobody reads", "100 admins at once"


def rush(databases: Databases, *, quick: bool) -> Result:
    """Deliveries by turns with the admins and without."""
    seconds, rounds = (6.0, 1) if quick else (9.0, 5)
    with databases.fresh() as mongo:
        settle(mongo.db, 500)
        AdminStore(mongo).create(EMAIL, PASSWORD)
        with ours(databases, mongo.db.name, workers=2) as web:
            warm(web)
            cookie = _sign_in(web)

            def without() -> Figures:
                return figures(drive(_deliveries(web, seconds)), 1)

            def beside() -> Figures:
                return _beside(web, seconds, cookie)

            _beside(web, EVERY_SECONDS, cookie)
            raw = interleave({WITHOUT: without, BESIDE: beside}, rounds)
    return Result(shown(raw), raw)


def shown(raw: Mapping[str, Any], _: str = "") -> str:
    """The table, and the ratio of the p99s."""
    columns = ("p50 ms", "p99 ms", "not 200")
    told = ("admins p50 ms", "admins p99 ms", "admins not 200")
    rows = []
    for name, runs in raw.items():
        admins = [spread(runs, each) if each in runs[0] else "" for each in told]
        rows.append([name, *(spread(runs, column) for column in columns), *admins])
    ratio = number(median(raw[BESIDE], "p99 ms") / median(raw[WITHOUT], "p99 ms"))
    return (
        f"{table(['200 deliveries/s beside', *columns, *told], rows)}\n\n"
        f"- p99 of the deliveries beside the admins, times that without: {ratio}."
    )


def _deliveries(web: Web, seconds: float) -> LoadPlan:
    return LoadPlan(
        port=web.port, seconds=seconds, dms=1, rate=RATE, most=int((seconds + 1) * RATE)
    )


def _beside(web: Web, seconds: float, cookie: str) -> Figures:
    """Both generators are processes of their own."""
    admins = LoadPlan(
        port=web.port, seconds=seconds, rate=ADMINS / EVERY_SECONDS, burst=ADMINS,
        connections=ADMINS, headers={"Cookie": cookie}, settle=0.5,
        get=[f"/api/admin/history?range={name}&weekStart=monday" for name in RANGES],
    )  # fmt: skip
    asked: list[Figures] = []
    thread = threading.Thread(target=lambda: asked.append(figures(drive(admins), 0)))
    thread.start()
    found = figures(drive(_deliveries(web, seconds)), 1)
    thread.join()
    return found | {f"admins {each}": asked[0][each] for each in ("p50 ms", "p99 ms", "not 200")}


def _sign_in(web: Web) -> str:
    """The cookie of an admin's session."""
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=10)
    try:
        form = urllib.parse.urlencode({"email": EMAIL, "password": PASSWORD})
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", form, head)
        answer = connection.getresponse()
        answer.read()
        cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        if answer.status != 303 and not cookie:
            raise RuntimeError(f"signing in: {answer.status}")
        return cookie
    finally:
        connection.close()
