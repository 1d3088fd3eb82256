"""Reads accounts for the admin pages: one account, a page of all, or a bounded search."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from dmstats.core.errors import BadRequest, StoreUnavailable
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated, was_interrupted
from dmstats.db.collection_names import ACCOUNTS
from dmstats.db.dashboard.account_order import (
    ARRAY,
    ATTENTION,
    HIGHEST,
    ID,
    KNOWN,
    LOWEST,
    REST,
    Position,
    Sort,
    Value,
    id_of,
    ids_after,
    in_order,
    is_after,
    position_of,
    section_of,
    stored,
    unique,
    usual,
    value_of,
)
from dmstats.db.documents import ACCOUNT_FIELDS, Account, account

SEARCH_BOUND = 500
"""The most matches of one field that a search looks at."""

BATCH = 200
"""Accounts that an export reads at once: other greenlets wait for some milliseconds."""

MAX_TIME_MS = 2_000
ARRAYS_MAX_TIME_MS = 10_000
"""For conditions on arrays, which need a collection scan; used only if the index has arrays."""

PROJECTION: dict[str, int] = dict.fromkeys(["instagramId", *ACCOUNT_FIELDS], 1)
DIGITS_OF_IDS = 19


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some accounts in order; ``after`` is None on the last page."""

    accounts: list[Account]
    after: Position | None


class AccountDirectory:
    """Reads accounts under the configured read preference; raises :class:`StoreUnavailable`.

    Equal values are ordered by ``instagramId``. That needs no compound index (each index on a
    counter costs a write at every DM): if a page ends within a group of equal values, that group
    is read again by id. That costs the smaller of the group's size and page x accounts / group.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._db = mongo.replica
        self._collection = mongo.replica[ACCOUNTS]
        self._arrays: dict[str, bool] = {}

    def one(self, instagram_id: str) -> Account | None:
        """The account with exactly this id, stored as a string or as a number."""
        found = [
            row
            for row in self._find({ID: {"$in": typed.id_values(instagram_id)}}, ID, 1, 10)
            if typed.identifier(row.get(ID)) == instagram_id
        ]
        found.sort(key=lambda row: not typed.is_text(row[ID]))
        return account(found[0]) if found else None

    def page(self, sort: Sort, after: Position | None, limit: int) -> AccountPage:
        """At most ``limit`` accounts that come after ``after``.

        Raises :class:`BadRequest` if the account of the position was deleted.
        """
        after = self._resolved(after, sort)
        section = section_of(after)
        rows: list[Document] = []
        if section == KNOWN:
            if after is not None:
                rows += self._ties(sort.field, after.value, after.instagram_id, limit + 1)
            rows += self._beyond(sort, after, limit + 1 - len(rows))
        if section != ATTENTION and sort.field != ID:
            beyond = after.instagram_id if after and section == REST else None
            rows += self._rest(sort.field, beyond, limit + 1 - len(rows))
        key = after.key if after else b""
        rows += self._attention(key, limit + 1 - len(rows))
        return _cut(rows, sort, limit)

    def cut(
        self, matches: list[Document], sort: Sort, after: Position | None, limit: int
    ) -> AccountPage:
        """At most ``limit`` of ``matches`` that come after ``after``."""
        rows = in_order(matches, sort)
        after = self._resolved(after, sort)
        if after is not None:
            rows = [row for row in rows if is_after(row, sort, after)]
        return _cut(rows, sort, limit)

    def matches(self, query: str) -> tuple[list[Document], bool]:
        """The accounts whose username contains ``query`` or whose id starts with it, in any order,
        and whether these are all: at most :data:`SEARCH_BOUND` by each.

        Instagram's usernames are lower-case; a leading ``@`` and the case are ignored. Names that
        start with it come from a range of the index, and are found in any case. The others need
        every entry of the index, and are left out if that takes too long.
        """
        text = query.strip().removeprefix("@").lower()
        found = self._starting("username", text)
        complete = len(found) <= SEARCH_BOUND
        if text and complete:
            containing, complete = self._containing(text)
            found += containing
        if text.isdecimal() and text.isascii():
            for by_id in (self._starting(ID, text), self._numeric_ids(text)):
                complete = complete and len(by_id) <= SEARCH_BOUND
                found = by_id + found
        return unique(found), complete

    def many(self, ids: Sequence[str]) -> list[Account]:
        """The accounts with these ids, in their order; those that are gone are left out."""
        found: dict[str, Document] = {}
        with translated():
            # Without a limit: arrays that contain an id also match, and an id may occur twice.
            wanted = {ID: {"$in": list(ids)}}
            for row in self._collection.find(wanted, PROJECTION).max_time_ms(MAX_TIME_MS):
                if typed.is_text(row[ID]):
                    found[row[ID]] = row
        return [account(found[each]) for each in ids if each in found]

    def every(self) -> Iterator[list[Account]]:
        """All accounts, each once, in batches and in no order."""
        # Without an index: an account whose counter changes during the scan could appear twice or
        # never.
        each = iter(self._collection.find({}, PROJECTION).batch_size(BATCH))
        while True:
            with translated():
                rows = list(islice(each, BATCH))
            if not rows:
                return
            yield [account(row) for row in rows]

    def _containing(self, text: str) -> tuple[list[Document], bool]:
        """Accounts whose username contains ``text``, and whether these are all."""
        wanted = {"username": {"$regex": re.escape(text)}}
        try:
            found = self._find(wanted, "username", 1, SEARCH_BOUND + 1)
        except StoreUnavailable as error:
            if not was_interrupted(error.__cause__):
                raise
            return [], False
        return found, len(found) <= SEARCH_BOUND

    def _starting(self, field: str, text: str) -> list[Document]:
        span = {"$gte": text, "$lt": text + "\U0010ffff"}
        return self._find({field: span}, field, 1, SEARCH_BOUND + 1)

    def _numeric_ids(self, digits: str) -> list[Document]:
        """Accounts whose ids are numbers starting with ``digits``: one range per length."""
        number = int(digits)
        spans = [
            {ID: {"$gte": number * 10**more, "$lt": (number + 1) * 10**more}}
            for more in range(DIGITS_OF_IDS - len(digits) + 1)
            if (number + 1) * 10**more in typed.INTEGERS
        ]
        if digits.startswith("0") or not spans:
            return []
        return self._find({"$or": spans}, ID, 1, SEARCH_BOUND + 1)

    def _beyond(self, sort: Sort, after: Position | None, limit: int) -> list[Document]:
        """Accounts of the section ``known`` beyond ``after``'s value, in exact order."""
        condition = self._usual(sort.field)
        if after is not None:
            bound = stored(sort.field, after.value)
            side = "$lt" if sort.descending else "$gt"
            condition |= {side: bound}
        direction = -1 if sort.descending else 1
        rows = self._find({sort.field: condition}, sort.field, direction, limit)
        if not all(typed.is_text(row.get(ID)) for row in rows):
            # Only if needed: the embedded database uses no index for a condition on two fields.
            both = {sort.field: condition, ID: self._usual(ID)}
            rows = self._find(both, sort.field, direction, limit)
        if len(rows) < limit or not rows or sort.field == ID:
            return in_order(rows, sort)
        last = rows[-1][sort.field]
        whole = [row for row in rows if row[sort.field] != last]
        cut = self._ties(sort.field, value_of(sort.field, rows[-1]), None, limit - len(whole))
        return in_order(whole, sort) + cut

    def _ties(self, field: str, value: Value, after_id: str | None, limit: int) -> list[Document]:
        """Accounts with this value and an id above ``after_id``, by id; ids have no ties."""
        if field == ID:
            return []
        same = {"$eq": stored(field, value)}
        if self._may_hold_arrays(field):
            same["$not"] = ARRAY
        return self._find({field: same, ID: self._above(after_id)}, ID, 1, limit)

    def _rest(self, field: str, after_id: str | None, limit: int) -> list[Document]:
        """Accounts without a usual value of ``field`` whose id is above ``after_id``, by id."""
        if limit <= 0:
            return []
        unusual, most_ms = self._unusual(field)
        return self._find({"$and": [unusual, {ID: self._above(after_id)}]}, ID, 1, limit, most_ms)

    def _attention(self, after: bytes, limit: int) -> list[Document]:
        """Accounts whose id is not a string, by ``_id``."""
        if limit <= 0:
            return []
        unusual, most_ms = self._unusual(ID)
        conditions = [unusual, *([ids_after(id_of(after))] if after else [])]
        return self._find({"$and": conditions}, "_id", 1, limit, most_ms)

    def _usual(self, field: str) -> Document:
        return usual(field, arrays=self._may_hold_arrays(field))

    def _above(self, instagram_id: str | None) -> Document:
        bound = {} if instagram_id is None else {"$gt": instagram_id}
        return self._usual(ID) | bound

    def _unusual(self, field: str) -> tuple[Document, int]:
        """The complement of :func:`_usual` (negated bounds also use the index), and the time limit
        of the query in ms."""
        outside: list[Document] = [{field: {"$not": {"$gte": LOWEST[field]}}}]
        if field in HIGHEST:
            outside.append({field: {"$not": {"$lte": HIGHEST[field]}}})
        if not self._may_hold_arrays(field):
            return {"$or": outside}, MAX_TIME_MS
        return {"$or": [*outside, {field: ARRAY}]}, ARRAYS_MAX_TIME_MS

    def _resolved(self, after: Position | None, sort: Sort) -> Position | None:
        """``after`` with value and id; they are read again if it has only the account's ``_id``."""
        if after is None or not after.reread:
            return after
        with translated():
            row = self._collection.find_one({"_id": id_of(after.key)}, PROJECTION)
        if row is None:
            raise BadRequest("cursor: its account was deleted; start again without a cursor.")
        return position_of(row, sort, in_cursor=False)

    def _may_hold_arrays(self, field: str) -> bool:
        """Whether the index on ``field`` has ever contained an array (true if unknown), according
        to the query planner: a search for arrays would read every document."""
        if field not in self._arrays:
            self._arrays[field] = self._ask_for_arrays(field)
        return self._arrays[field]

    def _ask_for_arrays(self, field: str) -> bool:
        find = {"find": ACCOUNTS, "filter": {field: {"$gte": LOWEST[field]}}, "hint": {field: 1}}
        try:
            with pymongo.timeout(MAX_TIME_MS / 1000):
                plan = self._db.command({"explain": find, "verbosity": "queryPlanner"})
        except PyMongoError:
            return True
        flags = list(_values(plan, "isMultiKey"))
        return any(flags) or not flags

    def _find(
        self,
        condition: dict[str, Any],
        sort: str,
        direction: int,
        limit: int,
        most_ms: int = MAX_TIME_MS,
    ) -> list[Document]:
        if limit <= 0:
            return []
        with translated():
            found = self._collection.find(condition, PROJECTION)
            return list(found.sort(sort, direction).limit(limit).max_time_ms(most_ms))


def _cut(rows: list[Document], sort: Sort, limit: int) -> AccountPage:
    # Counters change between the queries of a page, so an account may have been read twice.
    found = unique(rows)
    more = len(found) > limit
    shown = found[:limit]
    accounts = [account(row) for row in shown]
    return AccountPage(accounts, position_of(shown[-1], sort) if more else None)


def _values(plan: object, key: str) -> Iterator[object]:
    """Every value of ``key`` in a nested document."""
    if isinstance(plan, dict):
        for name, value in plan.items():
            if name == key:
                yield value
            yield from _values(value, key)
    elif isinstance(plan, list):
        for value in plan:
            yield from _values(value, key)
