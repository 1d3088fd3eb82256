"""Reads the accounts' states: pages that are filtered, or sorted by any column, and totals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dmstats.core.errors import StoreUnavailable, Unavailable
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated, was_interrupted
from dmstats.db.collection_names import ACCOUNT_STATES, STATS_CACHE
from dmstats.db.dashboard.account_order import ID, SORTS, Position, Sort
from dmstats.db.states.state_record import SORT_COLUMNS, HourCount, State, unpacked
from dmstats.db.states.summary import SUMMARY, StateFilter, Summary, summary

ALL_SORTS = (*SORTS, *(column for column in SORT_COLUMNS if column not in SORTS))
"""The fields by which a list of accounts can be sorted; those of :data:`SORTS` without states."""

MAX_TIME_MS = 2_000
BATCH = 200
FIRST_PASS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class IdPage:
    """The ids of some accounts in order; ``after`` is None on the last page."""

    ids: list[str]
    after: Position | None


class StateDirectory:
    """Reads under the configured read preference; methods raise :class:`StoreUnavailable`.

    States are as of the last computation. Accounts without a value in the sorted column come first.
    Documents whose ``_id`` is not a string are skipped; the next computation deletes them.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._states = mongo.replica[ACCOUNT_STATES]
        self._cache = mongo.replica[STATS_CACHE]

    def summary(self) -> Summary | None:
        """What the last pass found; None before the first has ended."""
        with translated():
            return summary(self._cache.find_one({"_id": SUMMARY}) or {})

    def of(self, ids: Sequence[str]) -> dict[str, list[State]]:
        """The states of these accounts; those that no pass has seen are left out."""
        with translated():
            found = list(self._states.find({"_id": {"$in": list(ids)}}, {"states": 1}))
        return {row["_id"]: _states(row) for row in found}

    def hour_of(self, account: str) -> HourCount | None:
        """What the last pass knew of the account's last hours; None if nothing."""
        with translated():
            found = self._states.find_one({"_id": account}, {"kept": 1})
        kept = unpacked((found or {}).get("kept"))
        return kept.hour if kept else None

    def page(self, wanted: StateFilter, sort: Sort, after: Position | None, limit: int) -> IdPage:
        """At most ``limit`` accounts that ``wanted`` lets through and that come after ``after``."""
        key, condition = _key(sort), wanted.condition()
        if sort.field == ID:
            condition[key] = {"$gte": ""}
        if after is not None:
            condition[key] = {("$lt" if sort.descending else "$gt"): after.value}
        try:
            with translated():
                found = self._states.find(condition, {key: 1}).sort(
                    key, -1 if sort.descending else 1
                )
                rows = list(found.limit(limit + 1).max_time_ms(MAX_TIME_MS))
        except StoreUnavailable as error:
            if was_interrupted(error.__cause__):
                raise Unavailable(
                    "Sorting these accounts takes too long; choose another order or fewer filters."
                ) from error
            raise
        return _cut(rows, sort, limit)

    def among(
        self, ids: Collection[str], wanted: StateFilter, sort: Sort, after: Position | None,
        limit: int,
    ) -> tuple[IdPage, list[str]]:  # fmt: skip
        """As :meth:`page`, of the accounts ``ids`` only; and all that ``wanted`` lets through."""
        key, condition = _key(sort), wanted.condition() | {"_id": {"$in": list(ids)}}
        with translated():
            rows = list(self._states.find(condition, {key: 1}).max_time_ms(MAX_TIME_MS))
        every = _ids(rows)
        rows.sort(key=lambda row: _place(row, sort), reverse=sort.descending)
        if after is not None:
            bound = str(after.value)
            rows = [
                row for row in rows
                if (_place(row, sort) < bound if sort.descending else _place(row, sort) > bound)
            ]  # fmt: skip
        return _cut(rows, sort, limit), every

    def every(self, wanted: StateFilter) -> Iterator[list[str]]:
        """The ids of all accounts that ``wanted`` lets through, in batches and in no order."""
        each = iter(self._states.find(wanted.condition(), {"_id": 1}).batch_size(BATCH))
        while True:
            with translated():
                rows = list(islice(each, BATCH))
            if not rows:
                return
            yield _ids(rows)


def _key(sort: Sort) -> str:
    return "_id" if sort.field == ID else f"order.{sort.field}"


def _place(row: Document, sort: Sort) -> str:
    order: Any = row if sort.field == ID else typed.document(row.get("order"))
    return str(order.get("_id" if sort.field == ID else sort.field, ""))


def _cut(rows: list[Document], sort: Sort, limit: int) -> IdPage:
    shown = rows[:limit]
    after = Position(_place(shown[-1], sort), "") if len(rows) > limit else None
    return IdPage(_ids(shown), after)


def _ids(rows: list[Document]) -> list[str]:
    return [row["_id"] for row in rows if typed.is_text(row["_id"])]


def _states(row: Document) -> list[State]:
    stored = row.get("states")
    return [state for state in State if isinstance(stored, list) and state.value in stored]
