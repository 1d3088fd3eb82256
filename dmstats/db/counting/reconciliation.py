"""The sums of DMs in each place that counts them; all must agree."""

from __future__ import annotations

from typing import Any

import msgspec

from dmstats.core.records import DIRECT_MESSAGES, OTHER_PARTITION, RECEIVED, SENT
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, DAYS, HOURS, LEDGER_PREFIX, STATS_CACHE
from dmstats.db.counting.ledger import Ledger

MAX_EXACT = 2**53
"""Larger values are not our counters, and would dominate a sum."""


class PlaceSums(msgspec.Struct, frozen=True):
    """DMs sent and received according to one place."""

    sent: int = 0
    received: int = 0

    def __sub__(self, other: PlaceSums) -> PlaceSums:
        return PlaceSums(self.sent - other.sent, self.received - other.received)


def read_place_sums(mongo: Mongo, ledger: Ledger) -> dict[str, PlaceSums]:
    """The sums of the ledger, the accounts, the hours, the days and the global document.

    Reads everything: for the end of a test run, not for a schedule.
    """
    with translated():
        total = mongo.db[STATS_CACHE].find_one({"_id": "global"}) or {}
        return {
            "ledger": _rows(mongo, ledger),
            "accounts": _sum(mongo, ACCOUNTS, "dmUsed", "dmReceived"),
            "hours": _sum(mongo, HOURS, SENT, RECEIVED),
            "days": _sum(mongo, DAYS, SENT, RECEIVED),
            "global": PlaceSums(_int(total.get("dmsSent")), _int(total.get("dmsReceived"))),
        }


def read_own(mongo: Mongo, ledger: Ledger, prefix: str) -> dict[str, PlaceSums]:
    """The sums of the ledger and the accounts for those accounts whose ids begin with ``prefix``.

    The prefix must end with an ASCII character.
    """
    own = {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}
    rows = _rows(mongo, ledger, {"account": own})
    sums = _sum(mongo, ACCOUNTS, "dmUsed", "dmReceived", {"instagramId": own})
    return {"ledger": rows, "accounts": sums}


def _rows(mongo: Mongo, ledger: Ledger, only: Document | None = None) -> PlaceSums:
    rows: dict[str, int] = dict.fromkeys(DIRECT_MESSAGES, 0)
    match = {"kind": {"$in": [*DIRECT_MESSAGES]}, "rejected": {"$ne": True}} | (only or {})
    count: dict[str, Any] = {"_id": "$kind", "n": {"$sum": 1}}
    with translated():
        for partition in [*ledger.partitions(), OTHER_PARTITION]:
            pipeline = [{"$match": match}, {"$group": count}]
            for found in mongo.db[LEDGER_PREFIX + partition].aggregate(pipeline):
                rows[found["_id"]] += found["n"]
    return PlaceSums(rows[SENT], rows[RECEIVED])


def _sum(
    mongo: Mongo, collection: str, sent: str, received: str, only: Document | None = None
) -> PlaceSums:
    sums = {"_id": None, "sent": {"$sum": _counted(sent)}, "received": {"$sum": _counted(received)}}
    with translated():
        for found in mongo.db[collection].aggregate([{"$match": only or {}}, {"$group": sums}]):
            return PlaceSums(_int(found["sent"]), _int(found["received"]))
    return PlaceSums()


def _counted(field: str) -> Document:
    """A counter, or 0 if the value is not a number: other types and NaN fail the comparison."""
    name = f"${field}"
    inside = {"$and": [{"$gte": [name, -MAX_EXACT]}, {"$lte": [name, MAX_EXACT]}]}
    return {"$cond": [inside, name, 0]}


def _int(value: object) -> int:
    if isinstance(value, float):
        return int(value) if abs(value) <= MAX_EXACT else 0
    return typed.counter(value) or 0
