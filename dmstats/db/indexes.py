"""The indexes that dmstats requires, and whether an existing index satisfies one; pure.

An index on a counter costs a write at every increment, so ``dmUsed`` is the only indexed counter.
``username`` is indexed for the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.collection_names import (
    ACCOUNT_DAYS,
    ACCOUNT_STATES,
    ACCOUNTS,
    ACTIVITY_LOG,
    ADMINS,
    ANNOTATIONS,
    CHALLENGES,
    INCIDENTS,
    LEDGER_PREFIX,
    OWN_PREFIX,
    SESSIONS,
    USERS,
)
from dmstats.db.states.state_record import SORT_COLUMNS

Index = Mapping[str, Any]
"""An index as returned by ``listIndexes``."""

HOUR_SECONDS = 3600
SIMPLE = {"locale": "simple"}
TEXT_ONLY = {"$gte": ""}
"""Matches every string, and no other type."""


@dataclass(frozen=True, slots=True)
class WantedIndex:
    """A required index on one field.

    ``text_only`` excludes documents whose field is not a string. ``retained`` makes late ledger
    rows expire after they were archived. ``expires`` deletes documents at the time in their field.
    ``optional``: a server that allows only one index per field may refuse it. ``if_possible``: the
    collection is only read, so it may be anything, such as a view, that takes no index.
    """

    collection: str
    field: str
    unique: bool = False
    text_only: bool = False
    retained: bool = False
    expires: bool = False
    optional: bool = False
    if_possible: bool = False

    @property
    def title(self) -> str:
        """``collection.field``."""
        return f"{self.collection}.{self.field}"

    @property
    def name(self) -> str:
        """Has our prefix, so that it cannot collide with an index name of the host platform."""
        return f"{OWN_PREFIX}{self.field}{'_unique' if self.unique else ''}"

    def options(self, retention_hours: int) -> dict[str, Any]:
        """The options for creating it, except the name."""
        options: dict[str, Any] = {"unique": True} if self.unique else {}
        if self.text_only:
            options["partialFilterExpression"] = {self.field: TEXT_ONLY}
        if self.retained:
            # Only archived rows may expire: see docs/audit.md.
            options["expireAfterSeconds"] = retention_hours * HOUR_SECONDS
            options["partialFilterExpression"] = {"archived": True}
        if self.expires:
            options["expireAfterSeconds"] = 0
        return options

    def mismatch(self, index: Index, usual: Any = SIMPLE) -> str | None:
        """Why ``index`` is not equivalent; empty if it is, None if it is on other fields.

        A compound index that starts with the field is also accepted, unless it must be unique.
        Queries use an index only if its collation is the collection's ``usual`` one.
        """
        (field, direction), *more = index["key"].items()
        if field != self.field or direction not in (1, -1) or (self.unique and more):
            return None
        partial = index.get("partialFilterExpression")
        faults = {
            "is hidden": index.get("hidden"),
            "has another collation": index.get("collation", SIMPLE) != usual,
            "is not unique": self.unique and not index.get("unique"),
            "leaves documents out": not self._covers(partial, sparse=bool(index.get("sparse"))),
            "does not expire": (self.retained or self.expires)
            and "expireAfterSeconds" not in index,
        }
        return next((fault for fault, found in faults.items() if found), "")

    def _covers(self, partial: Any, *, sparse: bool) -> bool:
        if self.retained:
            return bool(partial == {"archived": True})
        if not self.text_only:
            return not partial and not sparse
        whole = (
            None,
            *({self.field: part} for part in (TEXT_ONLY, {"$gt": ""}, {"$exists": True})),
        )
        return partial in whole


WANTED = (
    # Two indexes, because the platform may have accounts without an id or with null. The first
    # ensures that a DM creates an account only once; the second serves look-ups, ranges and sorts
    # over all values. A counter update changes neither. A full unique index of the platform
    # replaces both. Before MongoDB 5.0 only the first is possible, and it is enough for look-ups.
    WantedIndex(ACCOUNTS, "instagramId", unique=True, text_only=True),
    WantedIndex(ACCOUNTS, "instagramId", optional=True),
    WantedIndex(ACCOUNTS, "dmUsed"),
    WantedIndex(ACCOUNTS, "isActive"),
    WantedIndex(ACCOUNTS, "createdAt"),
    WantedIndex(ACCOUNTS, "username"),
    WantedIndex(USERS, "createdAt", if_possible=True),
    WantedIndex(ADMINS, "email", unique=True),
    WantedIndex(SESSIONS, "endsAt", expires=True),
    WantedIndex(ACCOUNT_DAYS, "until", expires=True),
    # For lists: the filters, for where few accounts pass, and the columns, for where many do.
    *(WantedIndex(ACCOUNT_STATES, field) for field in ("states", "active", "limited")),
    *(WantedIndex(ACCOUNT_STATES, f"order.{column}") for column in SORT_COLUMNS),
    WantedIndex(SESSIONS, "admin"),
    WantedIndex(ANNOTATIONS, "at"),
    WantedIndex(CHALLENGES, "endsAt", expires=True),
    WantedIndex(INCIDENTS, "pending"),
    WantedIndex(INCIDENTS, "expiresAt", expires=True),
    WantedIndex(ACTIVITY_LOG, "endsAt", expires=True),
    WantedIndex(ACTIVITY_LOG, "at"),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "arrived", retained=True),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "time"),
)


def exists(wanted: WantedIndex, indexes: Iterable[Index]) -> bool:
    """Whether one of a collection's ``indexes`` satisfies ``wanted``."""
    found = list(indexes)
    usual = _usual_collation(found)
    return any(wanted.mismatch(index, usual) == "" for index in found)


def conflicting(wanted: WantedIndex, indexes: Iterable[Index]) -> tuple[str, str] | None:
    """The name of an index on the same field that does not satisfy ``wanted``, and why."""
    found = list(indexes)
    usual = _usual_collation(found)
    for index in found:
        if len(index["key"]) == 1 and (why := wanted.mismatch(index, usual)):
            return str(index["name"]), why
    return None


def _usual_collation(indexes: Iterable[Index]) -> Any:
    """The default collation of a collection, which its index on ``_id`` always has."""
    own = next((index for index in indexes if list(index["key"]) == ["_id"]), {})
    return own.get("collation", SIMPLE)


def unwritable(collection: Mapping[str, Any]) -> str:
    """Why counting cannot write to a collection, as ``listCollections`` returns it; empty if it
    can."""
    options = collection.get("options", {})
    faults = {
        "is a view, which cannot be written to": collection.get("type") == "view",
        "is a time-series collection, whose documents cannot be changed": "timeseries" in options,
        "is capped, and takes no writes in transactions": options.get("capped"),
    }
    return next((fault for fault, found in faults.items() if found), "")


def unique_on_other_fields(indexes: Iterable[Index]) -> list[tuple[str, str]]:
    """Name and fields of the accounts' unique indexes that allow only one document without those
    fields. An account created by a DM has only our fields, so a second one would be rejected."""
    return [
        (str(index["name"]), ", ".join(index["key"]))
        for index in indexes
        if index.get("unique")
        and list(index["key"]) not in (["instagramId"], ["_id"])
        and not index.get("sparse")
        and not index.get("partialFilterExpression")
    ]
