"""Renames our collections from before 0.1.0 to names that no host platform uses.

Only if an earlier version of dmstats has recorded itself in ``schema_migrations``, and only
collections in which every document has the form of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from pymongo.database import Database
from pymongo.errors import OperationFailure

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db import collection_names as names
from dmstats.db.client import Document

OLD_RECORDS = "schema_migrations"
"""Other tools keep their own records there: only ours are touched."""
OUR_RECORD: Document = {"_id": "0001_indexes", "appliedAt": {"$type": "date"}}
OLD_HEARTBEATS = "committers"
OLD_LEDGER = "webhook_ledger_"
OLD_PARTITION = re.compile(rf"{OLD_LEDGER}(\d{{8}}|other|closed_\d{{8}}_\d+)")
ALIVE = timedelta(seconds=15)

NAMESPACE_NOT_FOUND = 26


class Rename(NamedTuple):
    """``ours`` matches every document that dmstats wrote. A ``disposable`` collection is created
    again, so it may be left behind if it also contains other documents."""

    old: str
    new: str
    ours: Document
    disposable: bool = False


_DATED: Document = {"_id": {"$type": "date"}}
_BYTES: Document = {"_id": {"$type": "binData"}}

RENAMES = (
    Rename("stats_hours", names.HOURS, _DATED),
    Rename("stats_days", names.DAYS, _DATED),
    Rename("ledger_archive", names.ARCHIVE, {"_id": {"$regex": "^(state|totals|closed_)"}}),
    Rename("ledger_archive_hours", names.ARCHIVE_HOURS, _DATED),
    Rename("ledger_archive_accounts", names.ARCHIVE_ACCOUNTS, {"_id": {"$type": "string"}}),
    Rename("audit_repairs", names.AUDIT_REPAIRS, {"differences": {"$exists": True}}),
    Rename(
        "audits",
        names.AUDIT_RUNS,
        {"$or": [{"_id": "repairs"}, {"generation": {"$exists": True}}]},
    ),
    Rename("audit_pages", names.AUDIT_PAGES, {"pass": {"$type": "string"}}, disposable=True),
    Rename(
        "account_activity",
        names.ACCOUNT_ACTIVITY,
        {"$or": [{"_id": "index"}, {"draft": {"$type": "string"}}]},
        disposable=True,
    ),
)


def apply(db: Database[Document], _settings: Settings) -> None:
    if db[OLD_RECORDS].find_one(OUR_RECORD) is None:
        return
    _refuse_while_in_service(db)
    present = set(db.list_collection_names())
    wanted = [rename for rename in _renames(present) if _is_ours(db, rename)]
    for rename in wanted:
        _refuse_two(db, rename)
    for rename in wanted:
        _rename(db, rename)
    # Heartbeats are no longer kept; each document of ours had a session's id.
    if OLD_HEARTBEATS in present:
        db[OLD_HEARTBEATS].delete_many({**_BYTES, "beatAt": {"$exists": True}})
        if db[OLD_HEARTBEATS].find_one() is None:
            db[OLD_HEARTBEATS].drop()
    _forget_old_record(db)


def _renames(present: set[str]) -> Iterator[Rename]:
    yield from (rename for rename in RENAMES if rename.old in present)
    for name in sorted(present):
        if match := OLD_PARTITION.fullmatch(name):
            yield Rename(name, names.LEDGER_PREFIX + match[1], _BYTES)


def _refuse_while_in_service(db: Database[Document]) -> None:
    """A version of before would go on in the old collections and count everything twice."""
    now = db.client.admin.command("hello")["localTime"]
    alive = {"_id": {"$type": "binData"}, "beatAt": {"$gt": now - ALIVE}}
    if db[OLD_HEARTBEATS].find_one(alive):
        raise ConfigError(
            "the collections cannot be renamed while dmstats runs: stop the service on every host, "
            f"wait {ALIVE.seconds} s, and run this again"
        )


def _is_ours(db: Database[Document], rename: Rename) -> bool:
    """Whether all documents are ours; refused where only some are."""
    if db[rename.old].find_one(rename.ours, {"_id": True}) is None:
        return db[rename.old].find_one({}, {"_id": True}) is None
    # The bounds of the index show this for a ledger partition of any size.
    if rename.ours is _BYTES:
        ends = [db[rename.old].find_one({}, {"_id": True}, sort=[("_id", n)]) for n in (1, -1)]
        foreign = next((end for end in ends if end and not isinstance(end["_id"], bytes)), None)
    else:
        foreign = db[rename.old].find_one({"$nor": [rename.ours]}, {"_id": True})
    if foreign is None:
        return True
    if rename.disposable:
        return False
    raise ConfigError(
        f"{rename.old} holds documents of dmstats and of others (one has the _id "
        f"{foreign['_id']!r}): move the others' to another collection, and run this again"
    )


def _refuse_two(db: Database[Document], rename: Rename) -> None:
    if db[rename.new].find_one({}, {"_id": True}) is not None:
        raise ConfigError(
            f"{rename.old} should become {rename.new}, but both hold documents: the service ran "
            "before this migration. Stop it on every host, restore the backup (or move "
            f"one of the two away), and run this again, then `flask audit`"
        )


def _rename(db: Database[Document], rename: Rename) -> None:
    try:
        db[rename.old].rename(rename.new, dropTarget=True)
    except OperationFailure as error:
        if error.code != NAMESPACE_NOT_FOUND:  # another run of this was first
            raise


def _forget_old_record(db: Database[Document]) -> None:
    db[OLD_RECORDS].delete_many(OUR_RECORD)
    if db[OLD_RECORDS].find_one({}) is None:
        db[OLD_RECORDS].drop()
