"""What each contestant loses or doubles when it is killed: measured, not argued.

A sender repeats every POST until it is answered 200, as Meta does. Meanwhile the whole contestant
is killed (SIGKILL) again and again. At the end every DM has been acknowledged, so each counter must
say exactly as many as were sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks import deliveries
from benchmarks.contestants import INGEST, Start, fastify_bulk
from benchmarks.databases import Databases
from benchmarks.programs import Web
from benchmarks.report import Result, table
from benchmarks.runs import Contender, contenders
from benchmarks.sender import Sender
from dmstats.db.client import Document, Mongo

DMS = 5
STARTS: dict[str, Start] = {**INGEST, "Node, bulk writes": fastify_bulk}

COUNTERS: dict[str, Callable[[Mongo], int]] = {
    "totals": lambda mongo: _total(mongo.db["stats_cache"].find_one({"_id": "global"}) or {}),
    "accounts": lambda mongo: sum(
        found.get("dmUsed", 0) + found.get("dmReceived", 0)
        for found in mongo.db["instagram_accounts"].find()
    ),
}


def _total(found: Document) -> int:
    return int(found.get("dmsSent", 0) + found.get("dmsReceived", 0))


def guarantees(databases: Databases, *, quick: bool) -> Result:
    """Everybody under the same kills; then the counters against what was sent."""
    kills = 2 if quick else 5
    raw: dict[str, Any] = {}
    with contenders(databases, STARTS) as running:
        for name, contender in running.items():
            raw[name] = _verifier(contender, kills)
            print(f"  {name}: {raw[name]}", flush=True)
    rows = [
        [
            name, f"{told['sent']:,}", str(kills), f"{told['refused']:,}",
            *(f"{told['lost'][counter]:,} / {told['doubled'][counter]:,}" for counter in COUNTERS),
            "yes" if told["settled"] else "no",
        ]
        for name, told in raw.items()
    ]  # fmt: skip
    head = ["", "DMs acknowledged", "kills", "POSTs sent again"]
    head += [f"{counter}: lost / doubled" for counter in COUNTERS]
    return Result(table([*head, "all acknowledged at the end"], rows), raw)


def _verifier(contender: Contender, kills: int) -> dict[str, Any]:
    web, mongo = contender
    before = {name: read(mongo) for name, read in COUNTERS.items()}
    # As many as the slowest counts on the slowest database, so that every kill meets work.
    bodies = deliveries.requests(kills * 400, dms=DMS, accounts=500)
    sender = Sender(web.port, iter(bodies), rate=60)
    sender.start()
    for _ in range(kills):
        time.sleep(2.0)
        _crash(web)
    time.sleep(1.0)
    settled = sender.drain()
    sent = sender.acknowledged * DMS
    counted = {name: read(mongo) - before[name] for name, read in COUNTERS.items()}
    return {
        "sent": sent,
        "refused": sum(sender.refused.values()),
        "reasons": dict(sender.refused),
        "counted": counted,
        "lost": {name: max(0, sent - n) for name, n in counted.items()},
        "doubled": {name: max(0, n - sent) for name, n in counted.items()},
        "settled": settled,
    }


def _crash(web: Web) -> None:
    web.program.kill()
    web.program.start()
