"""Consistent reads for the audit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from pymongo.client_session import ClientSession

from dmstats.core.clock import to_datetime
from dmstats.core.errors import DmstatsError
from dmstats.db import typed
from dmstats.db.audit.differences import Difference, OddDocument, Offset
from dmstats.db.audit.platform_changes import offset_of
from dmstats.db.audit.recount import Recount, Sums
from dmstats.db.client import Document, Mongo
from dmstats.db.collection_names import (
    ACCOUNT_BACKLOG,
    ACCOUNT_CHANGES,
    ACCOUNTS,
    ARCHIVE,
    ARCHIVE_ACCOUNTS,
    AUDIT_PAGES,
    AUDIT_RUNS,
)
from dmstats.db.counting.backlog_documents import account_of, delta_of
from dmstats.db.documents import ACCOUNT_FIELDS, Account, account, by_start
from dmstats.db.transaction_runner import TransactionRunner

T = TypeVar("T")

REPAIRS = "repairs"
EXPIRED_TRIES = 2
"""One more than needed, for a fail-over; then the audit reads less at once."""
READ = dict.fromkeys(("instagramId", *ACCOUNT_FIELDS), True)
MOST_ODD = 1_000
"""At most this many accounts whose id is not a string are listed."""
Rows = list[tuple[str, str, int, int]]
"""Account, month, DMs sent and received."""


class AuditOutdated(DmstatsError):
    """The run must start again: since it started, rows were archived, or another process has
    continued it."""

    title = "The audit must start again"


class AuditRun(msgspec.Struct, frozen=True):
    """One audit from start to end, including interruptions.

    ``account_ranges`` holds the boundaries that split the accounts, ordered by Instagram id, into
    parts that fit into memory.
    """

    key: str
    generation: int
    account_ranges: tuple[str, ...]

    @property
    def parts(self) -> range:
        """The indexes of the parts."""
        return range(len(self.account_ranges) + 1)

    def part_of(self, account: str) -> int:
        """The part that an account belongs to."""
        return bisect_right(self.account_ranges, account)

    def first(self, part: int) -> str:
        """The lower bound of one part's ids."""
        return ("", *self.account_ranges)[part]

    def bounds(self, part: int) -> tuple[str, str]:
        """The bounds of one part's ids, the upper one exclusive; empty for none."""
        bounds = ("", *self.account_ranges, "")
        return bounds[part], bounds[part + 1]

    def ids(self, part: int) -> Document:
        """The query condition for the ids of one part."""
        low, high = self.bounds(part)
        # Only strings: dmstats never counts for an id of another type.
        return {"$gte": low} | ({"$lt": high} if high else {})


class HourSummary(msgspec.Struct):
    """The sums of one hour's rows in its day's partition.

    ``seen`` has the counters of the hour's document from the same snapshot: while they are
    unchanged, so are the rows. ``version`` is the version of the repairs. The summary of all late
    rows has hour 0, and its ``seen`` is their total.
    """

    hour: int
    seen: dict[str, int]
    counts: dict[str, int]
    version: int
    differences: list[Difference] = msgspec.field(default_factory=list)

    @property
    def short(self) -> dict[str, int]:
        """What is missing in the hour's document."""
        return {d.field: d.missing for d in self.differences if d.place == "hours"}


def summary_id(audit: AuditRun, hour: int, part: int | None = None) -> str:
    """The id of a summary, or of its DMs by account for one part."""
    return f"{audit.key}:{hour}" + ("" if part is None else f":{part}")


class View:
    """Reads in one session; with transactions all reads are from one snapshot.

    The constructor raises :class:`AuditOutdated` if rows were archived since the run started.
    """

    def __init__(self, mongo: Mongo, audit: AuditRun, session: ClientSession | None) -> None:
        self._db = mongo.db
        self._pass = audit
        self._recount = Recount(mongo)
        self.session = session
        state = self.one(ARCHIVE, "state")
        if (typed.integer(state.get("generation")) or 0) != audit.generation:
            raise AuditOutdated
        if state.get("closing"):
            raise AuditOutdated
        repairs = self.one(AUDIT_RUNS, REPAIRS)
        self.version: int = typed.counter(repairs.get("version")) or 0
        self._repaired = {
            hour: typed.integer(version) or 0
            for hour, version in typed.document(repairs.get("hours")).items()
        }

    @property
    def recount(self) -> Recount:
        """Reads the ledger; pass this view's ``session``."""
        return self._recount

    def one(self, collection: str, key: str) -> Document:
        """A document; empty if missing."""
        return self._db[collection].find_one({"_id": key}, session=self.session) or {}

    def at(self, collection: str, starts: Iterable[int]) -> dict[int, Document]:
        """The documents of hours or days, by their starts in ms."""
        # Listed ids, not a range: the embedded database scans the collection for a range.
        found = self._find(collection, "_id", {"$in": [to_datetime(start) for start in starts]})
        return by_start(list(found))

    def pages(self, hours: Collection[int]) -> dict[int, HourSummary]:
        """The summaries that are still valid; a repaired hour must be read again."""
        ids = [summary_id(self._pass, hour) for hour in hours]
        found = (
            _converted(each.get("page"), HourSummary) for each in self._find_ids(AUDIT_PAGES, ids)
        )
        pages = [page for page in found if page is not None]
        return {p.hour: p for p in pages if self._repaired.get(str(p.hour), 0) <= p.version}

    def sums(self, hours: Iterable[int], part: int) -> Iterator[tuple[int, Sums]]:
        """For each hour with a summary, the DMs of one part's accounts."""
        ids = {summary_id(self._pass, hour, part): hour for hour in hours}
        for found in self._find_ids(AUDIT_PAGES, list(ids)):
            rows = _converted(found.get("accounts"), Rows)
            if rows is None:
                raise AuditOutdated  # unreadable; a new run reads the hour again
            sums = {(name, month): (sent, received) for name, month, sent, received in rows}
            yield ids[found["_id"]], sums

    def only(self, part: int, sums: Sums) -> Sums:
        """The ``sums`` of one part's accounts."""
        return {key: dms for key, dms in sums.items() if self._pass.part_of(key[0]) == part}

    def accounts(self, part: int) -> tuple[dict[str, Account], list[OddDocument]]:
        """One part's accounts by Instagram id, and the documents with unreadable values."""
        known: dict[str, Account] = {}
        odd: list[OddDocument] = []
        found = list(self._find(ACCOUNTS, "instagramId", self._pass.ids(part), READ))
        if part == 0:
            others = {"instagramId": {"$not": {"$gte": ""}}}
            rest = self._db[ACCOUNTS].find(others, READ, session=self.session)
            found += list(rest.limit(MOST_ODD))
        for document in found:
            read = account(document)
            if "instagramId" not in read.odd:
                known[read.instagram_id] = read
            if read.odd:
                odd.append(OddDocument(ACCOUNTS, read.document_id, read.odd))
        return known, odd

    def archived(self, part: int) -> dict[str, Document]:
        """The archived sums of one part's accounts, by Instagram id."""
        return self._by_account(ARCHIVE_ACCOUNTS, part)

    def known_changes(self, part: int) -> dict[str, Offset]:
        """The known changes by the platform, by Instagram id."""
        found = self._by_account(ACCOUNT_CHANGES, part)
        return {name: offset_of(document) for name, document in found.items()}

    def backlog(self, part: int) -> dict[str, Offset]:
        """What was counted but could not be added to its account yet, by Instagram id. The
        account's counters are expected to lack it."""
        documents: dict[str, list[Document]] = {}
        for document in self._find(ACCOUNT_BACKLOG, "_id", self._pass.ids(part)):
            documents.setdefault(account_of(document), []).append(document)
        deltas = {name: delta_of(found) for name, found in documents.items()}
        return {
            name: Offset(delta.sent, delta.received, delta.month, delta.month_sent)
            for name, delta in deltas.items()
        }

    def _by_account(self, collection: str, part: int) -> dict[str, Document]:
        found = self._find(collection, "_id", self._pass.ids(part))
        return {document["_id"]: document for document in found if typed.is_text(document["_id"])}

    def _find_ids(self, collection: str, ids: list[str]) -> Iterable[Document]:
        return self._find(collection, "_id", {"$in": ids})

    def _find(
        self, collection: str, field: str, condition: Document, fields: Any = None
    ) -> Iterable[Document]:
        match = {field: condition} if condition else {}
        return self._db[collection].find(match, fields, session=self.session)


def _converted(value: object, wanted: type[T]) -> T | None:
    """Parse part of a stored summary; None if it does not have the expected shape."""
    try:
        return msgspec.convert(typed.json_ready(value), wanted)
    except msgspec.ValidationError:
        return None


class SnapshotReader:
    """Runs read functions, each against one snapshot."""

    def __init__(self, mongo: Mongo, work: TransactionRunner) -> None:
        self._mongo = mongo
        self._work = work

    @property
    def has_snapshots(self) -> bool:
        """Whether reads are consistent; false on a standalone server."""
        return self._work.transactional

    def read(self, audit: AuditRun, read: Callable[[View], T]) -> T:
        """The result of ``read`` on a new snapshot.

        Raises :class:`~dmstats.core.errors.TransactionExpired` if it takes longer than the server
        allows.
        """
        return self._work.run_transaction(
            lambda session: read(View(self._mongo, audit, session)), expired_tries=EXPIRED_TRIES
        )
