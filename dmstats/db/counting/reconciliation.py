"""What each place says of the DMs counted so far; all must agree."""

from __future__ import annotations

from typing import Any

import msgspec

from dmstats.core.records import DIRECT_MESSAGES, OTHER_PARTITION, RECEIVED, SENT
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.counting.ledger import PREFIX, Ledger

LARGEST = 2**53
"""Larger counters are none of ours, and would be all that is left of a sum."""


class PlaceSums(msgspec.Struct, frozen=True):
    """DMs sent and received according to one place."""

    sent: int = 0
    received: int = 0

    def __sub__(self, other: PlaceSums) -> PlaceSums:
        return PlaceSums(self.sent - other.sent, self.received - other.received)


def read_place_sums(mongo: Mongo, ledger: Ledger) -> dict[str, PlaceSums]:
    """The tally of the ledger, the accounts, the hours, the days and the global document.

    Reads everything: for the end of a test run, not for a schedule.
    """
    places = [PREFIX + partition for partition in [*ledger.partitions(), OTHER_PARTITION]]
    rows: dict[str, int] = dict.fromkeys(DIRECT_MESSAGES, 0)
    with translated():
        for place in places:
            match = {"kind": {"$in": [*DIRECT_MESSAGES]}, "rejected": {"$ne": True}}
            count: dict[str, Any] = {"_id": "$kind", "n": {"$sum": 1}}
            for found in mongo.db[place].aggregate([{"$match": match}, {"$group": count}]):
                rows[found["_id"]] += found["n"]
        total = mongo.db["stats_cache"].find_one({"_id": "global"}) or {}
        return {
            "ledger": PlaceSums(rows[SENT], rows[RECEIVED]),
            "accounts": _sum(mongo, "instagram_accounts", "dmUsed", "dmReceived"),
            "hours": _sum(mongo, "stats_hours", SENT, RECEIVED),
            "days": _sum(mongo, "stats_days", SENT, RECEIVED),
            "global": PlaceSums(_int(total.get("dmsSent")), _int(total.get("dmsReceived"))),
        }


def _sum(mongo: Mongo, collection: str, sent: str, received: str) -> PlaceSums:
    sums = {"_id": None, "sent": {"$sum": _counted(sent)}, "received": {"$sum": _counted(received)}}
    for found in mongo.db[collection].aggregate([{"$group": sums}]):
        return PlaceSums(_int(found["sent"]), _int(found["received"]))
    return PlaceSums()


def _counted(field: str) -> Document:
    """A counter, 0 where it is none: values of other types, and no number, lie outside."""
    name = f"${field}"
    inside = {"$and": [{"$gte": [name, -LARGEST]}, {"$lte": [name, LARGEST]}]}
    return {"$cond": [inside, name, 0]}


def _int(value: object) -> int:
    if isinstance(value, float):
        return int(value) if abs(value) <= LARGEST else 0
    return typed.counter(value) or 0
