"""What each place says of the DMs counted so far; all must agree."""

from __future__ import annotations

from typing import Any

import msgspec

from dmstats.core.records import DIRECT_MESSAGES, OTHER_PARTITION, RECEIVED, SENT
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import ACCOUNTS, DAYS, HOURS, LEDGER_PREFIX, STATS_CACHE
from dmstats.db.counting.ledger import Ledger


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
    places = [LEDGER_PREFIX + partition for partition in [*ledger.partitions(), OTHER_PARTITION]]
    rows: dict[str, int] = dict.fromkeys(DIRECT_MESSAGES, 0)
    with translated():
        for place in places:
            match = {"kind": {"$in": [*DIRECT_MESSAGES]}, "rejected": {"$ne": True}}
            count: dict[str, Any] = {"_id": "$kind", "n": {"$sum": 1}}
            for found in mongo.db[place].aggregate([{"$match": match}, {"$group": count}]):
                rows[found["_id"]] += found["n"]
        total = mongo.db[STATS_CACHE].find_one({"_id": "global"}) or {}
        return {
            "ledger": PlaceSums(rows[SENT], rows[RECEIVED]),
            "accounts": _sum(mongo, ACCOUNTS, "dmUsed", "dmReceived"),
            "hours": _sum(mongo, HOURS, SENT, RECEIVED),
            "days": _sum(mongo, DAYS, SENT, RECEIVED),
            "global": PlaceSums(total.get("dmsSent", 0), total.get("dmsReceived", 0)),
        }


def _sum(mongo: Mongo, collection: str, sent: str, received: str) -> PlaceSums:
    sums = {"_id": None, "sent": {"$sum": f"${sent}"}, "received": {"$sum": f"${received}"}}
    for found in mongo.db[collection].aggregate([{"$group": sums}]):
        return PlaceSums(found["sent"], found["received"])
    return PlaceSums()
