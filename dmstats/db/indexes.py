"""The indexes that counting, the snapshot and sign-in rely on, and whether one suits; pure.

An index on a counter is paid at every increment, so there is only the one on ``dmUsed``;
``username`` serves the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dmstats.core.records import OTHER_PARTITION
from dmstats.db.collection_names import ACCOUNTS, ADMINS, LEDGER_PREFIX, OWN_PREFIX, USERS

Index = Mapping[str, Any]
"""One as ``listIndexes`` describes it."""

HOUR_SECONDS = 3600
TEXT_ONLY = {"$gte": ""}
"""What every text is, and nothing else."""


@dataclass(frozen=True, slots=True)
class WantedIndex:
    """An index on one field. ``text_only`` leaves out documents whose field is no text; a
    ``retained`` one makes late ledger rows expire, once they are in the archive. What is wanted
    ``optional`` may be refused by a server that knows only one index per field."""

    collection: str
    field: str
    unique: bool = False
    text_only: bool = False
    retained: bool = False
    optional: bool = False

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
        if self.text_only:
            options["partialFilterExpression"] = {self.field: TEXT_ONLY}
        if self.retained:
            # Only rows whose counts are in the archive may go: see docs/audit.md.
            options["expireAfterSeconds"] = retention_hours * HOUR_SECONDS
            options["partialFilterExpression"] = {"archived": True}
        return options

    def mismatch(self, index: Index) -> str | None:
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
            "does not expire": self.retained and "expireAfterSeconds" not in index,
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
    # Two, as the platform may keep accounts without an id, or with null: one sees to it that a DM
    # creates an account once, the other answers look-ups, ranges and orders whatever is there.
    # Neither is touched when a counter changes. A full unique one of the platform's is both.
    # Before MongoDB 5.0 there can be the first alone, which does for look-ups.
    WantedIndex(ACCOUNTS, "instagramId", unique=True, text_only=True),
    WantedIndex(ACCOUNTS, "instagramId", optional=True),
    WantedIndex(ACCOUNTS, "dmUsed"),
    WantedIndex(ACCOUNTS, "isActive"),
    WantedIndex(ACCOUNTS, "createdAt"),
    WantedIndex(ACCOUNTS, "username"),
    WantedIndex(USERS, "createdAt"),
    WantedIndex(ADMINS, "email", unique=True),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "arrived", retained=True),
    WantedIndex(LEDGER_PREFIX + OTHER_PARTITION, "time"),
)


def exists(wanted: WantedIndex, indexes: Iterable[Index]) -> bool:
    """Whether one of a collection's ``indexes`` suits."""
    return any(wanted.mismatch(index) == "" for index in indexes)


def conflicting(wanted: WantedIndex, indexes: Iterable[Index]) -> tuple[str, str] | None:
    """The name of the index on the same field that does not suit, and why."""
    for index in indexes:
        if len(index["key"]) == 1 and (why := wanted.mismatch(index)):
            return str(index["name"]), why
    return None


def unique_on_other_fields(indexes: Iterable[Index]) -> list[tuple[str, str]]:
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
