"""Reading accounts for the admins: one, a page of all, or a bounded search."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dmstats.core.clock import to_datetime, to_ms
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNTS

SORTS = ("dmUsed", "createdAt", "instagramId", "username")
"""What accounts can be sorted by: the fields that have an index."""

SEARCH_BOUND = 500
"""The most matches of one field that a search looks at."""

MAX_TIME_MS = 2_000
PROJECTION: dict[str, int] = dict.fromkeys(
    (
        "instagramId", "username", "isActive", "createdAt", "dmUsed", "monthlyDmUsed",
        "currentMonth", "monthlyDmLimit", "lastDMSent", "dmReceived", "lastDMReceived",
    ), 1,
)  # fmt: skip

Value = int | float | str | None
"""What a position remembers of the sort field; dates in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A field of :data:`SORTS` and its direction; accounts without the field come last."""

    field: str = "dmUsed"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """The account after which the next page starts."""

    value: Value
    instagram_id: str


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some accounts in order; ``after`` is None on the last page.

    ``complete`` is False when a search had more matches than it looked at.
    """

    accounts: list[Document]
    after: Position | None
    complete: bool = True


class AccountDirectory:
    """Reads accounts under the configured read preference; raises :class:`StoreUnavailable`.

    Equal values are ordered by ``instagramId``. That needs no compound index (each index on a
    counter is paid at every DM): only the group of equal values that a page cuts is read again
    by id. That read costs the smaller of the group's size and page x accounts / group.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._collection = mongo.replica[ACCOUNTS]

    def one(self, instagram_id: str) -> Document | None:
        """The account with this very id."""
        found = self._find({"instagramId": instagram_id}, "instagramId", 1, 1)
        return found[0] if found else None

    def page(self, sort: Sort, after: Position | None, limit: int) -> AccountPage:
        """``limit`` accounts (at most) of all, from ``after`` on."""
        rows = self._ties(sort.field, after.value, after.instagram_id, limit + 1) if after else []
        if after is None or after.value is not None:
            rows += self._beyond(sort, after, limit + 1 - len(rows))
            rows += self._ties(sort.field, None, "", limit + 1 - len(rows))
        return _cut(rows, sort, limit)

    def search(self, prefix: str, sort: Sort, after: Position | None, limit: int) -> AccountPage:
        """``limit`` accounts (at most) whose username or id starts with ``prefix``.

        Instagram's usernames are lower-case; a leading ``@`` and the case do not matter.
        """
        text = prefix.strip().removeprefix("@").lower()
        found = self._starting("username", text)
        complete = len(found) <= SEARCH_BOUND
        if text.isdecimal():
            by_id = self._starting("instagramId", text)
            complete = complete and len(by_id) <= SEARCH_BOUND
            found = list({row["instagramId"]: row for row in by_id + found}.values())
        rows = _in_order(found, sort) if after is None else _following(found, sort, after)
        page = _cut(rows, sort, limit)
        return AccountPage(page.accounts, page.after, complete)

    def _starting(self, field: str, text: str) -> list[Document]:
        span = {"$gte": text, "$lt": text + "\U0010ffff"}
        return self._find({field: span}, field, 1, SEARCH_BOUND + 1)

    def _beyond(self, sort: Sort, after: Position | None, limit: int) -> list[Document]:
        """Accounts that have the field, beyond ``after``'s value, in exact order."""
        condition: dict[str, object] = {"$ne": None}
        if after is not None:
            condition = {"$lt" if sort.descending else "$gt": _stored(sort.field, after.value)}
        direction = -1 if sort.descending else 1
        rows = self._find({sort.field: condition}, sort.field, direction, limit)
        if len(rows) < limit or not rows or sort.field == "instagramId":
            return _in_order(rows, sort)
        last = rows[-1][sort.field]
        whole = [row for row in rows if row[sort.field] != last]
        cut = self._ties(sort.field, value_of(sort.field, rows[-1]), "", limit - len(whole))
        return _in_order(whole, sort) + cut

    def _ties(self, field: str, value: Value, above: str, limit: int) -> list[Document]:
        """Accounts with just this value whose id is above ``above``, by id; ids have no ties."""
        if field == "instagramId":
            return []
        condition = {field: _stored(field, value), "instagramId": {"$gt": above}}
        return self._find(condition, "instagramId", 1, limit)

    def _find(
        self, condition: dict[str, Any], sort: str, direction: int, limit: int
    ) -> list[Document]:
        if limit <= 0:
            return []
        with translated():
            found = self._collection.find(condition, PROJECTION | {"_id": 0})
            return list(found.sort(sort, direction).limit(limit).max_time_ms(MAX_TIME_MS))


def value_of(field: str, account: Document) -> Value:
    """The account's value of ``field`` as a :class:`Position` keeps it."""
    value = account.get(field)
    if isinstance(value, datetime):
        return to_ms(value)
    return value if isinstance(value, int | float | str) else None


def _stored(field: str, value: Value) -> object:
    return to_datetime(value) if field == "createdAt" and isinstance(value, int) else value


def _in_order(rows: list[Document], sort: Sort) -> list[Document]:
    by_id = sorted(rows, key=lambda row: str(row["instagramId"]))
    valued = [(value_of(sort.field, row), row) for row in by_id]
    present = [(value, row) for value, row in valued if value is not None]
    # The type first: the host platform's documents may mix them, and Python compares no text
    # with a number.
    present.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]), reverse=sort.descending)
    return [row for _, row in present] + [row for value, row in valued if value is None]


def _following(rows: list[Document], sort: Sort, after: Position) -> list[Document]:
    marker: Document = {"instagramId": after.instagram_id, sort.field: after.value}
    others = [row for row in rows if row["instagramId"] != after.instagram_id]
    ordered = _in_order([marker, *others], sort)
    return ordered[ordered.index(marker) + 1 :]


def _cut(rows: list[Document], sort: Sort, limit: int) -> AccountPage:
    # Counters move between the queries of one page: an account may have been read twice.
    unique = list({row["instagramId"]: row for row in rows}.values())
    shown = unique[:limit]
    more = len(unique) > limit
    return AccountPage(shown, _position(shown[-1], sort) if more else None)


def _position(row: Document, sort: Sort) -> Position:
    return Position(value_of(sort.field, row), str(row["instagramId"]))
