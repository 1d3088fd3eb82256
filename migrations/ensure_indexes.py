"""Creates missing collections and indexes, without a time limit."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait

import pymongo
from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.client import Document
from dmstats.db.collection_names import COMMIT_PROBE, DAYS, HOURS, STATS_CACHE
from dmstats.db.indexes import WANTED, WantedIndex, conflicting, exists, unwritable

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

    The indexes of one collection are one command, so that the server reads the collection once.
    Raises one :class:`ConfigError` with all obstacles, after everything else is created.
    """
    for name in IN_COMMITS:
        _create_collection(db, name)
    found = {each["name"]: unwritable(each) for each in db.list_collections()}
    problems = [
        f"{wanted.title}: {wanted.collection} {found[wanted.collection]}"
        for wanted in WANTED
        if found.get(wanted.collection) and not wanted.if_possible
    ]
    builds = [
        _Build(
            db[name],
            [each for each in WANTED if each.collection == name],
            settings,
            is_new=name not in found,
        )
        for name in dict.fromkeys(each.collection for each in WANTED)
        if not found.get(name)
    ]
    for build in builds:
        build.start()
    started = time.monotonic()
    while running := wait([build.over for build in builds], PROGRESS_SECONDS).not_done:
        done = _documents_done(db)
        for build in builds:
            if build.over in running:
                seconds = time.monotonic() - started
                progress(
                    f"still building indexes of {build.name} after {seconds:.0f} s"
                    f"{done.get(build.name, '')}"
                )
    for build in builds:
        build.over.result()
        for each in build.created:
            tell(f"created the index {each.title}")
        for line in build.left_out:
            tell(f"left out the index {line}")
        problems += build.problems
    if problems:
        raise ConfigError("\n".join(problems))


class _Build:
    """Creates the missing indexes of one collection."""

    def __init__(
        self,
        collection: Collection[Document],
        wanted: Sequence[WantedIndex],
        settings: Settings,
        *,
        is_new: bool,
    ) -> None:
        self.collection, self.name = collection, collection.name
        self.over: Future[None] = Future()
        self.created: list[WantedIndex] = []
        self.problems: list[str] = []
        self.left_out: list[str] = []
        self._wanted = wanted
        self._settings = settings
        self._is_new = is_new

    def start(self) -> None:
        """Begin; of a new collection, which has nothing to read, this also waits for the end."""
        if self._is_new:
            self._run()
        else:
            # A daemon thread, so that Ctrl-C works. The server continues, and the next run finds
            # the indexes.
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        """``over`` has the error of what failed unexpectedly."""
        try:
            present = [] if self._is_new else list(self.collection.list_indexes())
            missing = [each for each in self._wanted if not exists(each, present)]
            try:
                self._create(missing)
            except OperationFailure:
                for each in missing:
                    self._create_one(each)
            self.over.set_result(None)
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            self.over.set_exception(error)

    def _create_one(self, wanted: WantedIndex) -> None:
        try:
            self._create([wanted])
        except OperationFailure as error:
            if wanted.if_possible:
                name = (error.details or {}).get("codeName") or "OperationFailure"
                self.left_out.append(f"{wanted.title}: {name} [{error.code}]")
            elif not (wanted.optional and error.code in SAME_INDEX):
                problem = _explained(self.collection, wanted, self._settings, error)
                self.problems.append(problem)

    def _create(self, missing: Sequence[WantedIndex]) -> None:
        hours = self._settings.ledger_retention_hours
        if missing:
            self.collection.create_indexes(
                [
                    IndexModel([(each.field, ASCENDING)], name=each.name, **each.options(hours))
                    for each in missing
                ]
            )
            self.created += missing


def _create_collection(db: Database[Document], name: str) -> None:
    try:
        db.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != NAMESPACE_EXISTS:
            raise


def _documents_done(db: Database[Document]) -> dict[str, str]:
    """The progress that the server reports, by collection; empty if it reports none in time."""
    building = {"command.createIndexes": {"$exists": True}, "progress.total": {"$gt": 0}}
    try:
        with pymongo.timeout(PROGRESS_SECONDS / 2):
            found = list(db.client.admin.aggregate([{"$currentOp": {}}, {"$match": building}]))
        return {
            str(each["command"]["createIndexes"]): (
                f": {each['progress']['done']} of {each['progress']['total']}"
            )
            for each in found
        }
    except (PyMongoError, KeyError, TypeError):
        return {}


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
            # An array has an entry in the index for each of its elements.
            {"$unwind": f"${field}"},
            {"$match": {field: {"$gte": ""}}},
            {"$group": {"_id": f"${field}", "ids": {"$addToSet": "$_id"}}},
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
