"""Counts again, event by event, what a run left in the database; knows nothing of the counting."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.database import Database

from tests.torture.platform import Platform, whole

LEDGER = "dmstats_ledger_"


class Recount(msgspec.Struct):
    """What was found: events whose row is missing or not alone, and counters that are off."""

    rows: int = 0
    dms: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    late: int = 0
    drifts: list[str] = []

    @property
    def exact(self) -> bool:
        """Whether each acknowledged event has one row, and every counter is the rows' sum."""
        return not (self.lost or self.doubled or self.unknown or self.drifts)


def recount(
    db: Database[dict[str, Any]],
    acknowledged: Mapping[bytes, bool],
    platform: Platform | None = None,
) -> Recount:
    """Compare the ledger with ``acknowledged`` (digest: whether), and the counters with the ledger.

    An event that was sent and never acknowledged may have been counted or not. With a ``platform``
    that wrote to the accounts, each account's counters must be the rows' sum plus what it changed.
    """
    result = Recount()
    found: Counter[bytes] = Counter()
    wanted: dict[str, Counter[Any]] = defaultdict(Counter)
    months: dict[str, str] = {}
    latest: dict[str, datetime] = {}
    for partition, row in _rows(db):
        result.rows += 1
        found[bytes(row["_id"])[4:]] += 1
        result.late += partition == "other"
        wanted["global"]["late"] += partition == "other"
        kind, time, account = row["kind"], row["time"], row["account"]
        if kind not in ("sent", "received"):
            wanted["global"][f"events.{kind}"] += 1
            if "name" in row:
                wanted["global"][f"unknown.{row['name']}"] += 1
            continue
        result.dms += 1
        month = f"{time:%Y-%m}"
        months[account] = max(months.get(account, ""), month)
        wanted["global"]["dmsSent" if kind == "sent" else "dmsReceived"] += 1
        wanted["accounts"][account, "dmUsed" if kind == "sent" else "dmReceived"] += 1
        wanted["hours"][f"{time:%Y-%m-%d %H}", kind] += 1
        wanted["minutes"][f"{time:%Y-%m-%d %H}", time.minute, kind] += 1
        wanted["days"][f"{time:%Y-%m-%d}", kind] += 1
        if kind == "sent":
            wanted["months"][account, month] += 1
            latest[account] = max(latest.get(account, time), time)
    result.lost = sum(was and digest not in found for digest, was in acknowledged.items())
    result.doubled = sum(times - 1 for times in found.values())
    result.unknown = len(found.keys() - acknowledged.keys())
    current = {
        account: (month, wanted["months"][account, month]) for account, month in months.items()
    }
    if platform is not None:
        _add_changes(db, wanted["accounts"], platform)
    result.drifts += _drifts(db, wanted, platform.uncertain if platform else ())
    for account in db["instagram_accounts"].find() if platform is None else ():
        name = account["instagramId"]
        told = (account["currentMonth"], account["monthlyDmUsed"])
        if told != current[name]:
            result.drifts.append(f"month of {name}: {told}, should be {current[name]}")
        if account.get("lastDMSent") != latest.get(name):
            result.drifts.append(f"lastDMSent of {name}")
    return result


def _rows(db: Database[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in db.list_collection_names(
        filter={"name": {"$regex": f"^{LEDGER}(other|closed|[0-9])"}}
    ):
        for row in db[name].find(batch_size=10_000):
            yield name.removeprefix(LEDGER), row


def _add_changes(db: Database[dict[str, Any]], wanted: Counter[Any], platform: Platform) -> None:
    for key, number in platform.changed.items():
        wanted[key] += number
    for waiting in db["dmstats_account_backlog"].find():
        account = waiting.get("account", waiting["_id"])
        wanted[account, "dmUsed"] -= waiting.get("sent", 0)
        wanted[account, "dmReceived"] -= waiting.get("received", 0)


def _drifts(
    db: Database[dict[str, Any]],
    wanted: Mapping[str, Counter[Any]],
    uncertain: Collection[str],
) -> Iterator[str]:
    told = {"global": _global(db), "accounts": _accounts(db), **_buckets(db)}
    for place, counter in told.items():
        for key in sorted(wanted[place].keys() | counter.keys(), key=str):
            if place == "accounts" and key[0] in uncertain:
                continue
            if wanted[place][key] != counter[key]:
                yield f"{place} {key}: {counter[key]}, rows say {wanted[place][key]}"


def _global(db: Database[dict[str, Any]]) -> Counter[Any]:
    total = db["stats_cache"].find_one({"_id": "global"}) or {}
    told = Counter({field: total.get(field, 0) for field in ("dmsSent", "dmsReceived", "late")})
    for group in ("events", "unknown"):
        told.update({f"{group}.{name}": count for name, count in total.get(group, {}).items()})
    return told


def _accounts(db: Database[dict[str, Any]]) -> Counter[Any]:
    return Counter(
        {
            (account["instagramId"], field): whole(account.get(field, 0))
            for account in db["instagram_accounts"].find()
            for field in ("dmUsed", "dmReceived")
        }
    )


def _buckets(db: Database[dict[str, Any]]) -> dict[str, Counter[Any]]:
    told: dict[str, Counter[Any]] = {"hours": Counter(), "minutes": Counter(), "days": Counter()}
    for hour in db["dmstats_hours"].find():
        start = f"{hour['_id']:%Y-%m-%d %H}"
        for kind in ("sent", "received"):
            told["hours"][start, kind] = hour.get(kind, 0)
            for minute, counts in hour.get("minutes", {}).items():
                told["minutes"][start, int(minute), kind] = counts.get(kind, 0)
    for day in db["dmstats_days"].find():
        for kind in ("sent", "received"):
            told["days"][f"{day['_id']:%Y-%m-%d}", kind] = day.get(kind, 0)
    return told
