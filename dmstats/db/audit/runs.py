"""The progress of each audit: the summaries of the hours it has read, stored until it ends."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence

import msgspec
import pymongo

from dmstats.core.clock import DAY_MS, day_start, to_datetime
from dmstats.core.errors import Repeated
from dmstats.db import typed
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.audit.differences import Difference, OddDocument
from dmstats.db.audit.odd_documents import stored
from dmstats.db.audit.platform_changes import PlatformChanges
from dmstats.db.audit.recount import BATCH, Recount, Sums
from dmstats.db.audit.snapshot_reader import AuditOutdated, AuditRun, HourSummary, summary_id
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNTS,
    ARCHIVE_HOURS,
    AUDIT_PAGES,
    AUDIT_RUNS,
    DAYS,
    HOURS,
    STATS_CACHE,
)
from dmstats.db.counting.ledger import Ledger, day_ms
from dmstats.db.documents import by_start
from dmstats.db.states.rhythms import Rhythm, Rhythms

PART = 2_000
LONG_SECONDS = 120.0
"""Time limit for reading all accounts or all late rows."""
OURS: Document = {"kind": {"$type": "string"}, "generation": {"$exists": True}}
"""Identifies the document of a running audit."""
SILENT_MS, ABANDONED_MS = 60_000, DAY_MS
"""How long a run must be without progress before another process continues it, or deletes it."""


class RunPlan(msgspec.Struct, frozen=True):
    """The days to compare, by their start in ms.

    ``live`` maps days to the partition with their rows. The rows of ``old`` days are archived,
    except late ones.
    """

    live: Mapping[int, str]
    old: tuple[int, ...]


class AuditRuns:
    """Starts, continues and ends audit runs."""

    def __init__(self, mongo: Mongo, ledger: Ledger) -> None:
        self._mongo = mongo
        self._db = mongo.db
        self._ledger = ledger
        self._recount = Recount(mongo)
        self._changes = PlatformChanges(mongo)
        self._rhythms = Rhythms(mongo)

    def explain(self, differences: Sequence[Difference], now_ms: int) -> None:
        """Record differences of accounts that were caused by the host platform."""
        self._changes.keep(differences, now_ms)

    def begin(self, kind: str, generation: int, now_ms: int) -> AuditRun:
        """Continue the interrupted run of this ``kind``, or start a new one."""
        runs, now = self._db[AUDIT_RUNS], {"touchedAt": to_datetime(now_ms)}
        with translated(), pymongo.timeout(LONG_SECONDS):
            silent = {"touchedAt": {"$lt": to_datetime(now_ms - SILENT_MS)}}
            found = runs.find_one_and_update(
                {"kind": kind, "generation": generation} | silent, {"$set": now}
            )
            if found and (splits := _texts(found.get("splits"))) is not None:
                return AuditRun(str(found["_id"]), generation, splits)
            # Only our documents: the host platform may have used the collection before.
            long_ago = OURS | {"touchedAt": {"$lt": to_datetime(now_ms - ABANDONED_MS)}}
            for abandoned in list(runs.find(long_ago, {"_id": True})):
                if typed.is_text(abandoned["_id"]):
                    self.end(AuditRun(str(abandoned["_id"]), 0, ()))
            audit = AuditRun(uuid.uuid4().hex, generation, self._account_ranges())
            document = {
                "kind": kind,
                "generation": generation,
                "splits": list(audit.account_ranges),
            }
            runs.insert_one({"_id": audit.key} | document | now)
        return audit

    def touch(self, audit: AuditRun, now_ms: int) -> None:
        """Record that the run makes progress, so that no other process continues it."""
        with translated():
            self._db[AUDIT_RUNS].update_one(
                {"_id": audit.key}, {"$set": {"touchedAt": to_datetime(now_ms)}}
            )

    def leave(self, audit: AuditRun) -> None:
        """Allow another process to continue the run immediately."""
        self.touch(audit, 0)

    def end(self, audit: AuditRun) -> None:
        """Delete the run and its summaries."""
        with translated():
            self._db[AUDIT_PAGES].delete_many({"pass": audit.key})
            self._db[AUDIT_RUNS].delete_one({"_id": audit.key})

    def plan(self) -> RunPlan:
        """All days that appear in the ledger, the archive or the counters."""
        with translated(), pymongo.timeout(LONG_SECONDS):
            days = {
                day_start(start)
                for name in (HOURS, DAYS, ARCHIVE_HOURS)
                for start in by_start(list(self._db[name].find({}, {"_id": True})))
            }
            late = {day_start(hour) for hour in self._recount.late(None)}
        # Listed last: a day's partition is created before its first counter.
        live = self.live()
        return RunPlan(live, tuple(sorted((days | late) - live.keys())))

    def live(self) -> dict[int, str]:
        """The partitions by the start of their day, oldest first."""
        return {day_ms(partition): partition for partition in self._ledger.partitions()}

    def rows(self, partition: str) -> int:
        """The approximate number of rows in a partition."""
        return self._recount.size(partition)

    def keep(self, audit: AuditRun, pages: list[tuple[HourSummary, Sums]], now_ms: int) -> None:
        """Store or replace the summaries of hours, with the DMs by account.

        A summary is deleted before its DMs and inserted after them: whatever is interrupted, one
        that is there has all of them. Parts without DMs have no document. Raises
        :class:`AuditOutdated` if another process has continued this run.
        """
        self.invalidate(audit, [page.hour for page, _ in pages])
        documents: list[Document] = []
        for page, sums in pages:
            parts: dict[int, list[tuple[str, str, int, int]]] = {}
            for (account, month), (sent, received) in sums.items():
                part = audit.part_of(account)
                parts.setdefault(part, []).append((account, month, sent, received))
            documents += [
                {"_id": summary_id(audit, page.hour, part), "pass": audit.key, "accounts": accounts}
                for part, accounts in parts.items()
            ]
            about = {"page": msgspec.to_builtins(page)}
            documents.append({"_id": summary_id(audit, page.hour), "pass": audit.key} | about)
        try:
            with translated():
                self._db[AUDIT_PAGES].insert_many(documents)
        except Repeated:
            raise AuditOutdated from None
        self.touch(audit, now_ms)

    def invalidate(self, audit: AuditRun, hours: Collection[int]) -> None:
        """Delete the summaries of these hours, so that they are read again."""
        parts = [summary_id(audit, hour, part) for hour in hours for part in audit.parts]
        with translated():
            for ids in ([summary_id(audit, hour) for hour in hours], parts):
                self._db[AUDIT_PAGES].delete_many({"_id": {"$in": ids}})

    def under_way(self) -> list[str]:
        """The keys of all running audits."""
        with translated():
            return [str(found["_id"]) for found in self._db[AUDIT_RUNS].find(OURS)]

    def activity_writer(self, audit: AuditRun) -> ActivityWriter:
        """A writer for each account's activity."""
        return ActivityWriter(self._mongo, audit.key)

    def rhythms(self, audit: AuditRun, part: int) -> dict[str, Rhythm]:
        """The rhythms that the last audit kept of one part's accounts."""
        first, end = audit.bounds(part)
        return self._rhythms.between(first, end)

    def publish(self, drift: int, odd: Sequence[OddDocument], now_ms: int) -> None:
        """Store the audit's result for the snapshot and ``flask doctor``."""
        result = {"$set": {"at": to_datetime(now_ms), "drift": drift} | stored(odd)}
        with translated():
            self._db[STATS_CACHE].update_one({"_id": "audit"}, result, upsert=True)

    def _account_ranges(self) -> tuple[str, ...]:
        """The boundaries between parts: every ``PART``-th Instagram id."""
        accounts, account_ranges = self._db[ACCOUNTS], []
        if accounts.estimated_document_count() <= PART:
            return ()
        found = accounts.find({"instagramId": {"$gte": ""}}, {"_id": False, "instagramId": True})
        # Small batches: decoding a large one would block this process's other greenlets.
        ordered = found.sort("instagramId", pymongo.ASCENDING).batch_size(BATCH)
        for number, account in enumerate(ordered):
            name = account["instagramId"]
            if number and not number % PART and typed.is_text(name):
                account_ranges.append(str(name))
        return tuple(account_ranges)


def _texts(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not all(map(typed.is_text, value)):
        return None
    return tuple(map(str, value))
