"""The indexes that counting, the snapshot and sign-in rely on, and whether one suits; pure.

An index on a counter is paid at every increment, so there is only the one on ``dmUsed``;
``username`` serves the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.collection_names import ACCOUNTS, ADMINS, LEDGER_PREFIX, OWN_PREFIX, SESSIONS, USERS

Index = Mapping[str, Any]
"""One as ``listIndexes`` describes it."""

HOUR_SECONDS = 3600
TEXT_ALONE = {"$gte": ""}
"""What every text is, and nothing else."""


@dataclass(frozen=True, slots=True)
class WantedIndex:
    """An index on one field. ``text_alone`` leaves out documents whose field is no text; a
    ``retained`` one makes late ledger rows expire, once they are in the archive; an ``expires`` one
    deletes documents at the time in their field. What is wanted
    ``if_possible`` may be refused by a server that knows only one index per field."""

    collection: str
    field: str
    unique: bool = False
    text_alone: bool = False
    retained: bool = False
    expires: bool = False
    if_possible: bool = False

    @property
    def title(self) -> str:
        """``collection.field``."""
        return f"{self.collection}.{self.field}"

    @property
    def name(self) -> str:
        """Ours alone, so that it never meets one of the host platform's by name."""
        return f"{OWN_PREFIX}{self.field}{'_unique' if self.unique else ''}"

    def options(self, retention_hours: int) -> dict[str, Any]:
        """The options it is created with, its name apart."""
        options: dict[str, Any] = {"unique": True} if self.unique else {}
        if self.text_alone:
            options["partialFilterExpression"] = {self.field: TEXT_ALONE}
        if self.retained:
            # Only rows whose counts are in the archive may go: see docs/audit.md.
            options["expireAfterSeconds"] = retention_hours * HOUR_SECONDS
            options["partialFilterExpression"] = {"archived": True}
        if self.expires:
            options["expireAfterSeconds"] = 0
        return options

    def unfit(self, index: Index) -> str | None:
        """Why ``index`` does not do; empty if it does, None if it is on other fields.

        One that begins with the field serves as well; unless it must be unique.
        """
        (field, direction), *more = index["key"].items()
        if field != self.field or direction not in (1, -1) or (self.unique and more):
            return None
        partial = index.get("partialFilterExpression")
        faults = {
            "is hidden": index.get("hidden"),
            "has a collation": index.get("collation", {}).get("locale", "simple") != "simple",
            "is not unique": self.unique and not index.get("unique"),
            "leaves documents out": not self._covers(partial, sparse=bool(index.get("sparse"))),
            "does not expire": (self.retained or self.expires)
            and "expireAfterSeconds" not in index,
        }
        return next((fault for fault, found in faults.items() if found), "")

    def _covers(self, partial: Any, *, sparse: bool) -> bool:
        if self.retained:
            return bool(partial == {"archived": True})
        if not self.text_alone:
            return not partial and not sparse
        whole = (
            None,
            *({self.field: part} for part in (TEXT_ALONE, {"$gt": ""}, {"$exists": True})),
        )
        return partial in whole


WANTED = (
    # Two, as the platform may keep accounts without an id, or with null: one sees to it that a DM
    # creates an account once, the other answers look-ups, ranges and orders whatever is there.
    # Neither is touched when a counter changes. A full unique one of the platform's is both.
    # Before MongoDB 5.0 there can be the first alone, which does for look-ups.
    WantedIndex(ACCOUNTS, "instagramId", unique=True, text_alone=True),
    WantedIndex(ACCOUNTS, "instagramId", if_possible=True),
    WantedIndex(ACCOUNTS, "dmUsed"),
    WantedIndex(ACCOUNTS, "isActive"),
    WantedIndex(ACCOUNTS, "createdAt"),
    WantedIndex(ACCOUNTS, "username"),
    WantedIndex(USERS, "createdAt"),
    WantedIndex(ADMINS, "email", unique=True),
    WantedIndex(SESSIONS, "endsAt", expires=True),
    WantedIndex(SESSIONS, "admin"),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "arrived", retained=True),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "time"),
)


def is_there(wanted: WantedIndex, indexes: Iterable[Index]) -> bool:
    """Whether one of a collection's ``indexes`` suits."""
    return any(wanted.unfit(index) == "" for index in indexes)


def in_the_way(wanted: WantedIndex, indexes: Iterable[Index]) -> tuple[str, str] | None:
    """The name of the index on the same field that does not suit, and why."""
    for index in indexes:
        if len(index["key"]) == 1 and (why := wanted.unfit(index)):
            return str(index["name"]), why
    return None


def needing_more(indexes: Iterable[Index]) -> list[tuple[str, str]]:
    """Name and fields of the accounts' unique indexes that take one document without the field: an
    account that a DM creates has no field but ours."""
    return [
        (str(index["name"]), ", ".join(index["key"]))
        for index in indexes
        if index.get("unique")
        and list(index["key"]) not in (["instagramId"], ["_id"])
        and not index.get("sparse")
        and not index.get("partialFilterExpression")
    ]
