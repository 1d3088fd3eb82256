"""Operators' edits of accounts: name, monthly limit and activity.

The values go into the account's own document, so that every list, sort, figure and export has them.
They are also stored in ``dmstats_account_edits``, by Instagram id, as ``fields``.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Collection, Iterable, Mapping
from contextvars import Context
from typing import Any

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from dmstats.core.clock import Clock, to_datetime
from dmstats.core.errors import Conflict, DmstatsError
from dmstats.db import typed
from dmstats.db.client import DUPLICATE_KEY, POISON_CODES, Document, Mongo, deadline, translated
from dmstats.db.collection_names import ACCOUNT_EDITS, ACCOUNTS
from dmstats.db.counting.ledger import batched
from dmstats.db.documents import ACCOUNT_FIELDS, Account, account

logger = logging.getLogger(__name__)

ID = "instagramId"
EDITABLE = ("username", "monthlyDmLimit", "isActive")
SLICE = 200
TRIES = 5
MAX_PAUSE_SECONDS = 0.05
RESTORE_SECONDS = 2.0
PAGE = 1_000
"""How many edited accounts are compared at a time."""

Value = str | int | bool | None
Fields = Mapping[str, Value]
"""Values by the name of their field, one of :data:`EDITABLE`; None removes the field."""
Changes = dict[str, tuple[Value, Value]]
"""The value before and after, by field."""


class AccountRefusesEdit(DmstatsError):
    """The database refuses this change of an account's document, for example because of the
    platform's validator or unique index."""

    status = 409
    title = "Refused by the database"


def changes_of(found: Account, wanted: Fields) -> Changes:
    """The fields of ``wanted`` that differ in ``found``. A field that cannot be read counts as
    different."""
    now: Fields = {
        "username": found.username,
        "monthlyDmLimit": found.monthly_dm_limit,
        "isActive": found.is_active,
    }
    return {
        field: (None if field in found.odd else now[field], value)
        for field, value in wanted.items()
        if field in found.odd or now[field] != value
    }


class AccountEdits:
    """Reads and writes on the primary; every method may raise
    :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._mongo = mongo
        self._accounts = mongo.db[ACCOUNTS]
        self._edits = mongo.db[ACCOUNT_EDITS]
        self._clock = clock
        self._after = ""

    def find(self, ids: Collection[str]) -> dict[str, Document]:
        """The documents of these accounts, by Instagram id; one whose id is a string is preferred
        to one with a number."""
        found: dict[str, Document] = {}
        with translated():
            for some in batched(ids, SLICE):
                known = set(some)
                wanted = [value for each in some for value in typed.id_values(each)]
                projection = dict.fromkeys([ID, *ACCOUNT_FIELDS], True)
                for row in self._accounts.find({ID: {"$in": wanted}}, projection):
                    name = typed.identifier(row.get(ID)) or ""
                    if name in known and (name not in found or typed.is_text(row[ID])):
                        found[name] = row
        return found

    def write(self, wanted: Mapping[str, Fields], found: Mapping[str, Document]) -> set[str]:
        """Write ``wanted`` (by Instagram id) into the documents ``found``.

        Returns the accounts whose document the database refuses; these are not changed. After an
        error none of ``wanted`` is stored, so that it is not written later.
        """
        if not wanted:
            return set()
        before = self._remembered(wanted)
        updates = {name: self._update(found[name], each) for name, each in wanted.items()}
        try:
            self._remember(wanted)
            refused = self._write(updates)
        except DmstatsError:
            # In a new context, because the request's deadline may have caused the error.
            Context().run(self._try_to_restore, before, wanted)
            raise
        if refused:
            self._restore(before, {name: wanted[name] for name in refused})
        return refused

    def write_back(self) -> int:
        """Compare the next :data:`PAGE` edited accounts with what operators wrote, and write it
        again where the platform has written something else; returns in how many accounts.

        A value that was written between the reads and the write stays; the next round sees it.
        """
        with translated():
            page = self._edits.find({"_id": {"$gt": self._after}}, {"_id": True})
            ids = [str(each["_id"]) for each in page.sort("_id").limit(PAGE)]
        self._after = ids[-1] if len(ids) == PAGE else ""
        found = self.find(ids)
        # Read after the accounts, so that an edit made in the meantime is compared with itself.
        updates = {}
        for name, fields in self._remembered(found).items():
            changed = changes_of(account(found[name]), fields)
            if changed:
                due = {field: after for field, (_, after) in changed.items()}
                updates[name] = self._update_if_unchanged(found[name], due)
        return len(updates) - len(self._write(updates)) if updates else 0

    def _remembered(self, ids: Iterable[str]) -> dict[str, Fields]:
        edits: dict[str, Fields] = {}
        with translated():
            for some in batched(ids, SLICE):
                for row in self._edits.find({"_id": {"$in": some}}):
                    edits[row["_id"]] = _readable(typed.document(row.get("fields")))
        return edits

    def _remember(self, wanted: Mapping[str, Fields]) -> None:
        now = to_datetime(self._clock.now_ms())
        writes = []
        for name, fields in wanted.items():
            update: Document = {"$set": {"at": now}}
            for field, value in fields.items():
                verb = "$unset" if value is None else "$set"
                update.setdefault(verb, {})[f"fields.{field}"] = "" if value is None else value
            writes.append(UpdateOne({"_id": name}, update, upsert=True))
        with translated():
            for some in batched(writes, SLICE):
                self._edits.bulk_write(some, ordered=False)

    def _restore(self, before: Mapping[str, Fields], wanted: Mapping[str, Fields]) -> None:
        """Store what was stored ``before`` instead of ``wanted``."""
        writes = []
        for name, fields in wanted.items():
            for field, value in fields.items():
                path, earlier = f"fields.{field}", before.get(name, {}).get(field)
                update = {"$unset": {path: ""}} if earlier is None else {"$set": {path: earlier}}
                # Only if it was not edited again since.
                writes.append(UpdateOne({"_id": name, path: value}, update))
        with translated():
            for some in batched(writes, SLICE):
                self._edits.bulk_write(some, ordered=False)

    def _try_to_restore(self, before: Mapping[str, Fields], wanted: Mapping[str, Fields]) -> None:
        try:
            with deadline(RESTORE_SECONDS):
                self._restore(before, wanted)
        except DmstatsError as error:
            logger.warning("account_edits_not_forgotten", extra={"reason": error.reason})

    def _update(self, found: Document, fields: Fields) -> UpdateOne:
        update: Document = {}
        for field, value in fields.items():
            if value is None:
                update.setdefault("$unset", {})[field] = ""
            else:
                update.setdefault("$set", {})[field] = in_kind_of(found.get(field), value)
        return UpdateOne(self._filter(found), update)

    def _filter(self, found: Document) -> Document:
        """One field, so that one index fits; see ``Accounts._filter``."""
        by_id = isinstance(found["_id"], ObjectId) and not self._mongo.sharded
        field = "_id" if by_id else ID
        return {field: found[field]}

    def _update_if_unchanged(self, found: Document, fields: Fields) -> UpdateOne:
        """Changes each field that still has the value in ``found``. The condition is not in the
        filter, which must be one field."""
        stage = {}
        for field, value in fields.items():
            same = {"$eq": [{"$ifNull": [f"${field}", None]}, {"$literal": found.get(field)}]}
            new = {"$literal": in_kind_of(found.get(field), value)}
            stage[field] = {"$cond": [same, new, f"${field}"]}
        return UpdateOne(self._filter(found), [{"$set": stage}])

    def _write(self, updates: Mapping[str, UpdateOne]) -> set[str]:
        """Returns the accounts whose document the database refuses."""
        names, refused = list(updates), set[str]()
        for tries_left in reversed(range(TRIES)):
            try:
                with translated():
                    for some in batched(names, SLICE):
                        refused |= self._write_some(some, updates)
            except Conflict:  # a delivery is being counted into one of these accounts
                if not tries_left:
                    raise
                time.sleep(random.uniform(0, MAX_PAUSE_SECONDS))  # noqa: S311 - jitter
            else:
                break
        return refused

    def _write_some(self, names: list[str], updates: Mapping[str, UpdateOne]) -> set[str]:
        try:
            self._accounts.bulk_write([updates[name] for name in names], ordered=False)
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            refusals = POISON_CODES | {DUPLICATE_KEY}
            if not failures or any(each.get("code") not in refusals for each in failures):
                raise
            return {names[each["index"]] for each in failures}
        return set()


def in_kind_of(present: object, value: Value) -> Any:
    """``value`` in the type of ``present``, which the platform stored: its programs may depend on
    it."""
    if type(value) is not int:
        return value
    if typed.is_text(present):
        return str(value)
    if isinstance(present, Decimal128):
        return Decimal128(str(value))
    return type(present)(value) if isinstance(present, float | Int64) else value


def _readable(fields: Mapping[str, object]) -> Fields:
    """Our own document, but a bad restore may have damaged it: accept only values that an operator
    can have set."""
    kinds = {"username": str, "monthlyDmLimit": int, "isActive": bool}
    return {
        field: value  # type: ignore[misc]  # one of the kinds
        for field, value in fields.items()
        if field in kinds and type(value) is kinds[field]
    }
