"""What an audit reads, all of one moment."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from pymongo.client_session import ClientSession

from dmstats.core.clock import to_datetime, to_ms
from dmstats.core.errors import DmstatsError
from dmstats.db.audit.differences import Difference
from dmstats.db.audit.recount import Recount, Sums
from dmstats.db.client import Document, Mongo
from dmstats.db.collection_names import ACCOUNTS, ARCHIVE, ARCHIVE_ACCOUNTS, AUDIT_PAGES, AUDIT_RUNS
from dmstats.db.transaction_runner import TransactionRunner

T = TypeVar("T")

REPAIRS = "repairs"
ACCOUNT_FIELDS = (
    "instagramId", "dmUsed", "dmReceived", "monthlyDmUsed", "currentMonth", "ledgerBase",
)  # fmt: skip


class Outdated(DmstatsError):
    """What was read is no longer comparable: the pass must begin again."""

    title = "The ledger was archived meanwhile"


class AuditRun(msgspec.Struct, frozen=True):
    """One audit from its start to its end, over interruptions.

    ``splits`` cut the accounts, ordered by Instagram id, into parts that fit into memory.
    """

    key: str
    generation: int
    account_ranges: tuple[str, ...]

    @property
    def parts(self) -> range:
        """The numbers of the parts."""
        return range(len(self.account_ranges) + 1)

    def part_of(self, account: str) -> int:
        """The part that an account belongs to."""
        return bisect_right(self.account_ranges, account)

    def first(self, part: int) -> str:
        """Where one part's accounts begin."""
        return ("", *self.account_ranges)[part]

    def ids(self, part: int) -> Document:
        """The condition on the ids of one part's accounts; empty for all."""
        bounds = ("", *self.account_ranges, "")
        low, high = bounds[part], bounds[part + 1]
        return ({"$gte": low} if low else {}) | ({"$lt": high} if high else {})


class HourSummary(msgspec.Struct):
    """What the ledger's own partitions held for an hour when it was read.

    ``seen`` is the hour's document of the same moment: as long as that has not changed, neither
    have the rows. ``version`` is that of the repairs. The page of all late rows stands at hour 0;
    what it has seen is their total.
    """

    hour: int
    seen: dict[str, int]
    counts: dict[str, int]
    version: int
    differences: list[Difference] = msgspec.field(default_factory=list)

    @property
    def short(self) -> dict[str, int]:
        """What the hour's document lacks."""
        return {d.field: d.missing for d in self.differences if d.place == "hours"}


def summary_id(audit: AuditRun, hour: int, part: int | None = None) -> str:
    """The id of a page, or of the accounts on it that belong to one part."""
    return f"{audit.key}:{hour}" + ("" if part is None else f":{part}")


class View:
    """Reads in one session; with transactions everything is of one moment.

    Raises :class:`Outdated` at once where rows have been archived since the pass began.
    """

    def __init__(self, mongo: Mongo, audit: AuditRun, session: ClientSession | None) -> None:
        self._db = mongo.db
        self._pass = audit
        self._recount = Recount(mongo)
        self.session = session
        state = self.one(ARCHIVE, "state")
        if state.get("generation", 0) != audit.generation or state.get("closing"):
            raise Outdated
        repairs = self.one(AUDIT_RUNS, REPAIRS)
        self.version: int = repairs.get("version", 0)
        self._repaired: dict[str, int] = repairs.get("hours", {})

    @property
    def recount(self) -> Recount:
        """Reads the ledger; give it this view's ``session``."""
        return self._recount

    def one(self, collection: str, key: str) -> Document:
        """A document, empty if there is none."""
        return self._db[collection].find_one({"_id": key}, session=self.session) or {}

    def at(self, collection: str, starts: Iterable[int]) -> dict[int, Document]:
        """The documents of hours or days, by their starts in ms."""
        # Listed ids, not a range: the embedded database scans the collection for a range.
        found = self._find(collection, "_id", {"$in": [to_datetime(start) for start in starts]})
        return {to_ms(document["_id"]): document for document in found}

    def pages(self, hours: Collection[int]) -> dict[int, HourSummary]:
        """The pages that still hold: a repaired hour must be read again."""
        ids = [summary_id(self._pass, hour) for hour in hours]
        pages = [
            msgspec.convert(found["page"], HourSummary)
            for found in self._find_ids(AUDIT_PAGES, ids)
        ]
        return {p.hour: p for p in pages if self._repaired.get(str(p.hour), 0) <= p.version}

    def sums(self, hours: Iterable[int], part: int) -> Iterator[tuple[int, Sums]]:
        """The hours' pages, and on each the DMs of one part's accounts."""
        ids = {summary_id(self._pass, hour, part): hour for hour in hours}
        for found in self._find_ids(AUDIT_PAGES, list(ids)):
            sums = {(a, month): (sent, received) for a, month, sent, received in found["accounts"]}
            yield ids[found["_id"]], sums

    def only(self, part: int, sums: Sums) -> Sums:
        """Those of ``sums`` that belong to one part."""
        return {key: dms for key, dms in sums.items() if self._pass.part_of(key[0]) == part}

    def accounts(self, part: int) -> dict[str, Document]:
        """One part's accounts, by Instagram id."""
        fields = dict.fromkeys(ACCOUNT_FIELDS, True)
        found = self._find(ACCOUNTS, "instagramId", self._pass.ids(part), fields)
        return {document["instagramId"]: document for document in found}

    def archived(self, part: int) -> dict[str, Document]:
        """What the archive holds of one part's accounts, by Instagram id."""
        found = self._find(ARCHIVE_ACCOUNTS, "_id", self._pass.ids(part))
        return {document["_id"]: document for document in found}

    def _find_ids(self, collection: str, ids: list[str]) -> Iterable[Document]:
        return self._find(collection, "_id", {"$in": ids})

    def _find(
        self, collection: str, field: str, condition: Document, fields: Any = None
    ) -> Iterable[Document]:
        match = {field: condition} if condition else {}
        return self._db[collection].find(match, fields, session=self.session)


class SnapshotReader:
    """Takes one look after another."""

    def __init__(self, mongo: Mongo, work: TransactionRunner) -> None:
        self._mongo = mongo
        self._work = work

    @property
    def of_one_moment(self) -> bool:
        """Whether a look reads everything as of one moment."""
        return self._work.transactional

    def read(self, audit: AuditRun, read: Callable[[View], T]) -> T:
        """What ``read`` makes of what is there now."""
        return self._work.run_transaction(lambda session: read(View(self._mongo, audit, session)))
