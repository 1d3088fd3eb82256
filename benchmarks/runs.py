"""One run of webhooks against a contestant, and what it and the database spent for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import pymongo
from pymongo.database import Database

from benchmarks.contestants import Start
from benchmarks.databases import Databases
from benchmarks.harness import Figures, drive, figures, median
from benchmarks.load import LoadPlan
from benchmarks.programs import Web
from dmstats.db.client import Document, Mongo
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.reconciliation import read_place_sums

CONNECTIONS = 64
MAX_DMS_PER_SECOND = 30_000
"""Requests are made ahead for so many; a run that uses them up says so."""
MAX_POSTS_PER_SECOND = 8_000
CHUNK = 1_000
COUNT_SECONDS = 1800.0
"""To count millions of rows takes longer than the driver is told to wait for an answer."""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

Contender = tuple[Web, Mongo]


@contextlib.contextmanager
def contenders(
    databases: Databases, starts: Mapping[str, Start], *, accounts: int = 500
) -> Iterator[dict[str, Contender]]:
    """Every contestant that can be started, warm, each with a database of its own that knows
    ``accounts`` accounts. One that cannot be is left out, and said to be."""
    with contextlib.ExitStack() as stack:
        running: dict[str, Contender] = {}
        databases.flush_redis()
        for name, start in starts.items():
            mongo = stack.enter_context(databases.fresh())
            settle(mongo.db, accounts)
            try:
                web = stack.enter_context(start(databases, mongo.db.name))
            except (RuntimeError, OSError) as error:
                print(f"  {name} left out: {error}", flush=True)
                continue
            warm(web)
            running[name] = web, mongo
        yield running


def settle(db: Database[Document], number: int, *, first: int = 0, counted: bool = False) -> None:
    """Create accounts as the host platform would have: from the ``first`` up to ``number``, with
    nothing counted yet, or with some DMs each."""
    month = f"{datetime.now(UTC):%Y-%m}"
    base = {"sent": 0, "received": 0, "month": "", "monthSent": 0}
    for start in range(first, number, CHUNK):
        db["instagram_accounts"].insert_many(
            [
                {"instagramId": f"1784140{n:010d}", "username": f"shop{n}", "isActive": n % 10 > 0,
                 "createdAt": LONG_AGO, "dmUsed": n if counted else 0, "monthlyDmUsed": 0,
                 "dmReceived": n if counted else 0, "currentMonth": month, "ledgerBase": base}
                for n in range(start, min(number, start + CHUNK))
            ],
            ordered=False,
        )  # fmt: skip


def warm(web: Web) -> None:
    """A moment of traffic, so that collections, compiled code and connections are there."""
    drive(LoadPlan(port=web.port, seconds=0.3, dms=1, most=500, connections=1))
    drive(LoadPlan(port=web.port, seconds=0.8, dms=5, most=2000))


def post(
    web: Web,
    databases: Databases,
    *,
    dms: int,
    seconds: float,
    accounts: int = 500,
    skew: float = 0.0,
    connections: int = CONNECTIONS,
    repeat: bool = False,
    rate: float = 0.0,
) -> Callable[[], Figures]:
    """A run against ``web``: rates, latencies, and what one DM cost the application's CPU, the
    database's CPU and the disk. ``rate`` is in POSTs/s (open loop); 0 sends the next when one is
    answered (closed loop)."""
    most = min(MAX_POSTS_PER_SECOND, MAX_DMS_PER_SECOND // dms)
    plan = LoadPlan(
        port=web.port, seconds=seconds, connections=connections, dms=dms, accounts=accounts,
        skew=skew, most=2000 if repeat else int(seconds * most), repeat=repeat, rate=rate,
    )  # fmt: skip

    def once() -> Figures:
        app, database, disk = web.program.cpu(), databases.cpu(), databases.written()
        measured = drive(plan)
        if not measured.answered:
            raise RuntimeError(f"nothing was measured: {measured.statuses}")
        posts = measured.answered
        spent = 1e6 * (web.program.cpu() - app) / posts
        return figures(measured, dms) | {
            "app µs/POST": spent,
            "app µs/DM": spent / dms,
            "database µs/DM": 1e6 * (databases.cpu() - database) / posts / dms,
            "bytes/DM": (databases.written() - disk) / posts / dms,
            "exhausted": float(measured.exhausted),
        }

    return once


def exact(mongo: Mongo) -> str:
    """Whether ledger, accounts, hours, days and totals agree."""
    with pymongo.timeout(COUNT_SECONDS):
        tallies = read_place_sums(mongo, Ledger(mongo, retention_hours=168))
    (one, *others) = tallies.values()
    if all(other == one for other in others):
        return f"{one.sent + one.received:,} DMs, the same in {', '.join(tallies)}"
    return f"NOT EXACT: {tallies}"


def times(results: Mapping[str, list[Figures]], figure: str) -> dict[str, float]:
    """How many times more of ``figure`` ours has than each peer."""
    mine = median(results["dmstats"], figure)
    peers = {name: median(runs, figure) for name, runs in results.items() if name != "dmstats"}
    return {name: mine / theirs for name, theirs in peers.items() if theirs}
