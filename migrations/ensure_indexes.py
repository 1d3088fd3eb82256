"""Creates missing collections and indexes, without a time limit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from pymongo import ASCENDING
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure, PyMongoError

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Document
from dmstats.db.collection_names import COMMIT_PROBE, DAYS, HOURS, STATS_CACHE
from dmstats.db.indexes import WANTED, WantedIndex, conflicting, exists

PROGRESS_SECONDS = 5.0
MAX_LISTED = 10
NAMESPACE_EXISTS = 48
DUPLICATE_KEY = 11000
SAME_INDEX = frozenset({85, 86})
"""IndexOptionsConflict and IndexKeySpecsConflict: an index on the field has other options."""
IN_COMMITS = (STATS_CACHE, HOURS, DAYS, COMMIT_PROBE)
"""Created in advance, because two transactions that create the same collection conflict."""

Tell = Callable[[str], object]


def ensure(db: Database[Document], settings: Settings, tell: Tell, progress: Tell) -> None:
    """Create what is missing; ``tell`` gets a line per created index, ``progress`` while it builds.

    Raises one :class:`ConfigError` with all obstacles, after everything else is created.
    """
    for name in IN_COMMITS:
        _create_collection(db, name)
    views = set(db.list_collection_names(filter={"type": "view"}))
    problems = []
    for wanted in WANTED:
        if wanted.collection in views:
            problems.append(f"{wanted.title}: {wanted.collection} is a view, which takes no writes")
            continue
        try:
            if _ensure(db[wanted.collection], wanted, settings, progress):
                tell(f"created the index {wanted.title}")
        except OperationFailure as error:
            if wanted.optional and error.code in SAME_INDEX:
                continue
            problems.append(_explained(db[wanted.collection], wanted, settings, error))
    if problems:
        raise ConfigError("\n".join(problems))


def _create_collection(db: Database[Document], name: str) -> None:
    try:
        db.create_collection(name)
    except CollectionInvalid:
        pass
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise


def _ensure(
    collection: Collection[Document], wanted: WantedIndex, settings: Settings, progress: Tell
) -> bool:
    """Whether it had to be created."""
    if exists(wanted, collection.list_indexes()):
        return False
    built: Future[str] = Future()

    def build() -> None:
        try:
            options = wanted.options(settings.ledger_retention_hours)
            built.set_result(
                collection.create_index([(wanted.field, ASCENDING)], name=wanted.name, **options)
            )
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            built.set_exception(error)

    started = time.monotonic()
    # A daemon thread, so that Ctrl-C works. The server continues, and the next run finds the index.
    threading.Thread(target=build, daemon=True).start()
    while True:
        try:
            built.result(PROGRESS_SECONDS)
        except NotYet:
            seconds = time.monotonic() - started
            done = _documents_done(collection)
            progress(f"still building the index {wanted.title} after {seconds:.0f} s{done}")
        else:
            return True


def _documents_done(collection: Collection[Document]) -> str:
    """The progress reported by the server; empty if it reports none."""
    mine = {"command.createIndexes": collection.name, "progress.total": {"$gt": 0}}
    try:
        admin = collection.database.client.admin
        for found in admin.aggregate([{"$currentOp": {}}, {"$match": mine}, {"$limit": 1}]):
            progress = found["progress"]
            return f": {progress['done']} of {progress['total']}"
    except (PyMongoError, KeyError, TypeError):
        return ""
    return ""


def _explained(
    collection: Collection[Document],
    wanted: WantedIndex,
    settings: Settings,
    error: OperationFailure,
) -> str:
    """Why an index cannot be created, with the remedy."""
    if isinstance(error, DuplicateKeyError) or error.code == DUPLICATE_KEY:
        return f"{wanted.title}: {_doubles(collection, wanted.field)}"
    if error.code in SAME_INDEX and (other := conflicting(wanted, collection.list_indexes())):
        name, why = other
        options = json.dumps(wanted.options(settings.ledger_retention_hours))
        return (
            f'{wanted.title}: the index "{name}" on the same field {why}. Replace it:\n'
            f'    db.{collection.name}.dropIndex("{name}")\n'
            f"    db.{collection.name}.createIndex({{{wanted.field}: 1}}, {options})"
        )
    name = (error.details or {}).get("codeName") or "OperationFailure"
    return f"{wanted.title}: {name} [{error.code}]"


def _doubles(collection: Collection[Document], field: str) -> str:
    groups = collection.aggregate(
        [
            {"$match": {field: {"$gte": ""}}},
            {"$group": {"_id": f"${field}", "ids": {"$push": "$_id"}}},
            {"$match": {"ids.1": {"$exists": True}}},
            {"$sort": {"_id": ASCENDING}},
            {"$limit": MAX_LISTED + 1},
        ],
        allowDiskUse=True,
    )
    lines = [
        f"    {group['_id']}: " + ", ".join(f"_id {found!r}" for found in group["ids"][:MAX_LISTED])
        for group in groups
    ]
    if len(lines) > MAX_LISTED:
        lines[MAX_LISTED:] = ["    and more"]
    return (
        "several documents have the same value. Keep one of each, and delete or correct the "
        "others; then run this again:\n" + "\n".join(lines)
    )
