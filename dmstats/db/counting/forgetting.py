"""Removes one account from everything that dmstats stores except the totals, during live traffic.

Its ledger rows stay, without the account: hours, days and totals are verified with them, and their
ids identify retried events. They are dropped with their partition.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import msgspec
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock, month_of, to_datetime
from dmstats.core.errors import BadRequest, DmstatsError, PoisonError
from dmstats.core.records import CANARY_ACCOUNT, OTHER_PARTITION, RECEIVED, SENT, SIMULATED
from dmstats.core.settings import ACCOUNT_DAYS_KEPT
from dmstats.db import typed
from dmstats.db.audit.archive import Archive
from dmstats.db.audit.platform_changes import offset_of
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import (
    ACCOUNT_BACKLOG,
    ACCOUNT_CHANGES,
    ACCOUNT_EDITS,
    ACCOUNTS,
    ARCHIVE,
    ARCHIVE_ACCOUNTS,
    LEDGER_PREFIX,
)
from dmstats.db.counting.account_backlog import SEPARATOR
from dmstats.db.counting.account_shares import (
    LAST,
    Sums,
    is_counted,
    of_the_platform,
    own_counters,
    sums_of,
    waiting_sums,
)
from dmstats.db.counting.accounts import BASE, uncountable
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.traces import SCAN_SECONDS, Traces
from dmstats.db.documents import ledger_base
from dmstats.db.transaction_runner import TransactionRunner

ROWS_AT_ONCE = 500
PASSES = 3
"""How often the ledger is read again if DMs of the account arrive during the run."""


class Forgotten(NamedTuple):
    """The numbers of events that no longer have the account, and the state of its document:
    "deleted", "kept" (the host platform's, without our counts), "new" (DMs arrived in the
    meantime), or "none"."""

    sent: int = 0
    received: int = 0
    other: int = 0
    document: str = "none"


class State(msgspec.Struct, frozen=True):
    """The values that change with every DM of the account: two counters (or the document's absence)
    and the backlog. ``is_open`` while a partition is being archived."""

    used: object
    received: object
    backlog: Sums
    is_open: bool

    def less(self, taken: Sums) -> State:
        """The values after ``taken`` was subtracted from the counters."""
        if not (taken.sent or taken.received):
            return self
        used, received = typed.integer(self.used) or 0, typed.integer(self.received) or 0
        return State(used - taken.sent, received - taken.received, self.backlog, self.is_open)


class Forgetting:
    """Each transaction removes the account from some rows and subtracts their DMs from it, so an
    audit finds no drift at any moment, and an interrupted run can be repeated.

    A partition that is being archived is archived first, as :class:`Archive` does with
    ``days_kept``.
    """

    def __init__(
        self, mongo: Mongo, ledger: Ledger, clock: Clock, *, days_kept: int = ACCOUNT_DAYS_KEPT
    ) -> None:
        self._db = mongo.db
        self._ledger = ledger
        self._clock = clock
        self._work = TransactionRunner(mongo)
        self._archive = Archive(mongo, ledger, self._work, days_kept=days_kept)
        self._traces = Traces(mongo, clock)

    def run(self, account: str, progress: Callable[[int], object]) -> Forgotten:
        """Forget ``account`` (an Instagram id); calls ``progress`` with the events done so far.

        DMs that arrive later count towards a new account. Raises :class:`BadRequest` for an account
        that dmstats invented, and :class:`DmstatsError` on a standalone server, or if the database
        refuses to change the account's document.
        """
        if not account or account == CANARY_ACCOUNT or account.startswith(SIMULATED):
            raise BadRequest("Not an Instagram id (simulated ones: `dmstats simulate --purge`).")
        if not self._work.transactional:
            raise DmstatsError(
                "Forgetting an account needs transactions, and this MongoDB runs standalone: use a "
                "replica set (one member is enough)."
            )
        kinds: Counter[str] = Counter()
        try:
            with translated():
                outcome = self._repeat(account, kinds, progress)
                self._traces.remove(account)
        except PoisonError as error:
            raise DmstatsError(
                "MongoDB refuses to change the account's document. Fix it (see `dmstats "
                "doctor`), and run this command again.",
                reason=error.reason,
            ) from error
        other = kinds.total() - kinds[SENT] - kinds[RECEIVED]
        return Forgotten(kinds[SENT], kinds[RECEIVED], other, outcome)

    def _repeat(self, account: str, kinds: Counter[str], progress: Callable[[int], object]) -> str:
        """Read the whole ledger until no DM of the account was counted during a pass, at most
        :data:`PASSES` times. Returns the state of the document."""
        started = self._clock.now_ms()
        for left in reversed(range(PASSES)):
            self._archive.finish_closing()
            before, taken = self._work.run_transaction(partial(self._state, account)), Sums()
            for some, sums in self._take_rows(account):
                kinds.update(some)
                taken.add(sums)
                progress(kinds.total())
            end = partial(self._end, account, before.less(taken), started, is_last=not left)
            if outcome := self._work.run_transaction(end):
                return outcome
        raise AssertionError  # pragma: no cover - the last pass has an outcome, or raises

    def _state(self, account: str, session: ClientSession | None) -> State:
        found = self._db[ACCOUNTS].find_one({"instagramId": account}, session=session) or {}
        archive = self._db[ARCHIVE].find_one({"_id": "state"}, session=session) or {}
        backlog = waiting_sums(self._backlog(account, session))
        counters = (found.get("dmUsed"), found.get("dmReceived"))
        return State(*counters, backlog, is_open=bool(archive.get("closing")))

    def _take_rows(self, account: str) -> Iterator[tuple[list[str], Sums]]:
        """Remove the account from all its rows; yields, for each transaction, their kinds and the
        counts subtracted from the account's document."""
        for partition in [*self._ledger.partitions(), OTHER_PARTITION]:
            found = self._db[LEDGER_PREFIX + partition].find({"account": account}, {"_id": True})
            ids = (row["_id"] for row in found)
            while some := _scanned(ids):
                results: list[tuple[list[str], Sums]] = []
                take = partial(self._take, account, partition, results)
                for _ in self._work.run_in_parts(some, take):
                    yield results[-1]

    def _take(
        self,
        account: str,
        partition: str,
        results: list[tuple[list[str], Sums]],
        ids: Sequence[bytes],
        session: ClientSession | None,
    ) -> None:
        self._hold(account, session)
        rows = self._db[LEDGER_PREFIX + partition]
        wanted = {"_id": {"$in": list(ids)}, "account": account}
        found = list(rows.find(wanted, session=session))
        sums = Sums()
        for row in found:
            # Rejected rows were never counted; archived ones are in the archive's sums.
            at_ms, kind = typed.moment(row.get("time")), row.get("kind")
            if at_ms is None or row.get("rejected") or row.get("archived"):
                continue
            sums.received += kind == RECEIVED
            sums.sent += kind == SENT
            if kind == SENT:
                sums.months[month_of(at_ms)] += 1
        taken = self._take_out(account, sums, session)
        rows.update_many(wanted, {"$unset": {"account": ""}}, session=session)
        self._outdate_audits(session)
        kinds = [str(row.get("kind")) for row in found]
        results.append((kinds, sums if taken else Sums()))

    def _take_out(self, account: str, sums: Sums, session: ClientSession | None) -> bool:
        """Subtract DMs from the account's counters; returns whether its document was changed.

        If the DMs are not in the document (it was deleted, replaced, or cannot be changed), the
        known changes contain the difference, and are reduced instead.
        """
        if not (sums.sent or sums.received):
            return False
        found = self._db[ACCOUNTS].find_one({"instagramId": account}, session=session)
        if is_counted(found):
            fewer = {"dmUsed": -sums.sent, "dmReceived": -sums.received}
            if in_month := sums.months[str(found.get("currentMonth"))]:
                fewer["monthlyDmUsed"] = -in_month
            # By the Instagram id, which is the shard key.
            of = {"instagramId": account}
            self._db[ACCOUNTS].update_one(of, {"$inc": fewer}, session=session)
            return True
        changes, key = self._db[ACCOUNT_CHANGES], {"_id": account}
        known = changes.find_one(key, session=session) or {}
        offset, month = offset_of(known), month_of(self._clock.now_ms())
        in_month = offset.month_sent if offset.month == month else 0
        fields: Document = {"sent": offset.sent + sums.sent}
        fields |= {"received": offset.received + sums.received}
        fields |= {"month": month, "monthSent": in_month + sums.months[month]}
        why = "deleted" if found is None else "replaced"
        about: Document = {"why": why, "at": to_datetime(self._clock.now_ms())}
        changes.update_one(
            key, {"$set": fields, "$setOnInsert": about}, upsert=True, session=session
        )
        return False

    def _end(
        self,
        account: str,
        expected: State,
        started_ms: int,
        session: ClientSession | None,
        *,
        is_last: bool,
    ) -> str:
        """Subtract the archived DMs, and finish with the account's document; returns its state,
        empty if the ledger must be read again."""
        self._hold(account, session)
        state = self._state(account, session)
        is_quiet = state == expected and not state.is_open
        if not is_quiet and not is_last:
            return ""
        archived = self._db[ARCHIVE_ACCOUNTS].find_one({"_id": account}, session=session)
        self._take_out(account, sums_of(archived or {}), session)
        self._db[ARCHIVE_ACCOUNTS].delete_one({"_id": account}, session=session)
        self._outdate_audits(session)
        found = self._db[ACCOUNTS].find_one({"instagramId": account}, session=session)
        if is_quiet:
            outcome = self._part_with(found, state.backlog, session)
            either = {"instagramId": {"$in": typed.id_values(account)}}
            if found is None and self._db[ACCOUNTS].find_one(either, session=session):
                outcome = "kept"  # under a number: no DM is counted into it
            self._db[ACCOUNT_BACKLOG].delete_many(_of_backlog(account), session=session)
        elif found is not None and is_counted(found):
            self._begin_anew(found, account, started_ms, session)
            outcome = "new"
        else:
            raise DmstatsError(
                "DMs of this account keep arriving, and MongoDB refuses to change its document. "
                "Fix the document (see `dmstats doctor`), and run this command again."
            )
        self._db[ACCOUNT_CHANGES].delete_one({"_id": account}, session=session)
        return outcome

    def _part_with(
        self, found: Document | None, backlog: Sums, session: ClientSession | None
    ) -> str:
        """No DM of the account is left: its counters now contain only the host platform's counts.

        A document that a DM created is deleted, unless the platform added a field.
        """
        if found is None:
            return "none"
        if BASE not in found:
            return "kept"  # nothing was counted into it
        left = own_counters(found, backlog)
        wanted = {"_id": found["instagramId"]}
        edits = self._db[ACCOUNT_EDITS].find_one(wanted, session=session) or {}
        is_ours = not of_the_platform(found, edits)
        if is_ours and not any(left.values()) and not uncountable(found):
            self._db[ACCOUNTS].delete_one(_that(found), session=session)
            return "deleted"
        gone = {BASE, *LAST} | (set() if left.get("monthlyDmUsed") else {"currentMonth"})
        update: Document = {"$unset": dict.fromkeys(gone, "")} | ({"$set": left} if left else {})
        self._db[ACCOUNTS].update_one(_that(found), update, session=session)
        return "kept"

    def _begin_anew(
        self, found: Document, account: str, started_ms: int, session: ClientSession | None
    ) -> None:
        """DMs keep arriving: count the remaining ones towards a new account, with a base of what
        the host platform had and changed."""
        known = self._db[ACCOUNT_CHANGES].find_one({"_id": account}, session=session) or {}
        offset, base = offset_of(known), ledger_base(found[BASE])
        month = offset.month or base.month
        fresh: Document = {
            "sent": (base.sent or 0) + offset.sent,
            "received": (base.received or 0) + offset.received,
            "month": month,
            "monthSent": (base.month_sent or 0 if base.month == month else 0) + offset.month_sent,
        }
        update: Document = {"$set": {BASE: fresh}}
        if not of_the_platform(found, {}):
            update["$set"]["createdAt"] = to_datetime(started_ms)
        old = [field for field in LAST if (typed.moment(found.get(field)) or 0) < started_ms]
        if old:
            update["$unset"] = dict.fromkeys(old, "")
        self._db[ACCOUNTS].update_one(_that(found), update, session=session)

    def _backlog(self, account: str, session: ClientSession | None) -> list[Document]:
        return list(self._db[ACCOUNT_BACKLOG].find(_of_backlog(account), session=session))

    def _hold(self, account: str, session: ClientSession | None) -> None:
        """Change the account's document first: a concurrent commit for the account then conflicts
        at once and is retried. Otherwise a busy account's short transactions would make this one
        conflict for ever."""
        wanted = {"instagramId": account, BASE: {"$type": "object"}}
        held = {"$set": {f"{BASE}.held": secrets.token_hex(4)}}
        self._db[ACCOUNTS].update_one(wanted, held, session=session)

    def _outdate_audits(self, session: ClientSession | None) -> None:
        """Make running audits start again: they have read sums by account."""
        self._db[ARCHIVE].update_one({"_id": "state"}, {"$inc": {"generation": 1}}, session=session)


def _scanned(ids: Iterator[bytes]) -> list[bytes]:
    """The next ids of a partition; no index finds them, so this may read all its rows."""
    with deadline(SCAN_SECONDS):
        return list(islice(ids, ROWS_AT_ONCE))


def _that(found: Document) -> Document:
    """A filter for that document; the Instagram id is the shard key."""
    return {"_id": found["_id"], "instagramId": found["instagramId"]}


def _of_backlog(account: str) -> Document:
    """The documents of one account: its own, and those whose ``_id`` begins with it."""
    others = {"$gte": account + SEPARATOR, "$lt": account + chr(ord(SEPARATOR) + 1)}
    return {"$or": [{"_id": account}, {"_id": others}]}
