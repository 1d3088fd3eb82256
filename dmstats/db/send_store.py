"""DMs that the platform reported as sent, and their sums by account and day.

A document of ``dmstats_sends`` is one DM: ``_id`` the digest of its message id, which is not
stored itself, ``account``, ``at``, ``state``, and ``due``, when to look for its echo (again), as
long as that may change anything. ``dmstats_send_days`` has the sums of the states by account and
UTC day, and those of all accounts with an empty ``account``. The first call creates both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import NamedTuple

import msgspec
import pymongo
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from dmstats.core.clock import DAY_MS, HOUR_MS, MINUTE_MS, day_start, to_datetime
from dmstats.core.errors import PoisonError
from dmstats.db import typed
from dmstats.db.client import DUPLICATE_KEY, Document, Mongo, deadline, translated
from dmstats.db.collection_names import ACCOUNTS, LEDGER_PREFIX, SEND_DAYS, SENDS
from dmstats.db.counting.ledger import SLICE, batched
from dmstats.db.transaction_runner import TransactionRunner

KEPT_MS = 3 * DAY_MS
"""How long a DM is stored, so that a message id that is reported again is counted once."""
DAYS_KEPT = 90
FIRST_LOOK_MS = 10 * MINUTE_MS + 30_000
"""A row may be committed some seconds after its arrival."""
SECONDS = 3.0
ALL = ""
"""The account of the sums of all accounts."""


class State(StrEnum):
    """Of one DM. One that is lost may still become late."""

    WAITING = "waiting"
    ECHOED = "echoed"
    LATE = "late"
    LOST = "lost"


COUNTED = (State.ECHOED, State.LATE, State.LOST)


class Send(msgspec.Struct, frozen=True):
    """A DM that was sent: the digest of its message id, and when (ms)."""

    digest: bytes
    account: str
    at_ms: int


class Verdict(NamedTuple):
    """What is known of a DM now; ``due_ms`` is when to look again, None for never."""

    state: State
    due_ms: int | None


class SendDay(msgspec.Struct, frozen=True):
    """The DMs of an account (:data:`ALL`: of all) of the UTC day that begins at ``day_ms``."""

    day_ms: int
    account: str
    echoed: int
    late: int
    lost: int

    @property
    def sends(self) -> int:
        """All whose state is known."""
        return self.echoed + self.late + self.lost

    @property
    def lost_share(self) -> float | None:
        """From 0 to 1."""
        return self.lost / self.sends if self.sends else None


class SendStore:
    """Every method may raise :class:`~dmstats.core.errors.DmstatsError`."""

    def __init__(self, mongo: Mongo, runner: TransactionRunner) -> None:
        self._db = mongo.db
        self._sends = mongo.db[SENDS]
        self._days = mongo.db[SEND_DAYS]
        self._accounts = mongo.replica[ACCOUNTS]
        self._runner = runner
        self._prepared = False

    def add(self, sends: Iterable[Send]) -> int:
        """Remember ``sends``; returns how many were not known yet."""
        documents: list[Document] = [
            {
                "_id": send.digest,
                "account": send.account,
                "at": to_datetime(send.at_ms),
                "state": State.WAITING.value,
                "due": to_datetime(send.at_ms + FIRST_LOOK_MS),
                "expiresAt": to_datetime(send.at_ms + KEPT_MS),
            }
            for send in {send.digest: send for send in sends}.values()
        ]
        with translated():
            self._prepare()
            try:
                self._sends.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                failures = (error.details or {}).get("writeErrors", [])
                if any(failure["code"] != DUPLICATE_KEY for failure in failures):
                    raise
                return len(documents) - len(failures)
        return len(documents)

    def _prepare(self) -> None:
        """Create the indexes, once a process."""
        if self._prepared:
            return
        self._sends.create_index("due", sparse=True)
        for collection in (self._sends, self._days):
            collection.create_index("expiresAt", expireAfterSeconds=0)
        self._days.create_index([("day", pymongo.DESCENDING), ("lost", pymongo.DESCENDING)])
        self._prepared = True

    def due(self, now_ms: int, limit: int) -> list[Send]:
        """Those whose echo is to be looked for, the first to be due first.

        Rows without a readable time are looked for no more: after a bad restore anything may be
        there.
        """
        with translated(), deadline(SECONDS):
            wanted = {"due": {"$lte": to_datetime(now_ms)}, "_id": {"$type": "binData"}}
            found = list(self._sends.find(wanted).sort("due", pymongo.ASCENDING).limit(limit))
            odd = [each["_id"] for each in found if not _is_readable(each, now_ms)]
            if odd:
                self._sends.update_many({"_id": {"$in": odd}}, {"$unset": {"due": ""}})
        return [_send(each) for each in found if _is_readable(each, now_ms)]

    def arrivals(self, ids: Mapping[str, Iterable[bytes]]) -> dict[bytes, int]:
        """When those ledger rows arrived (ms), by row id, of those that exist; ``ids`` are by
        partition."""
        found: dict[bytes, int] = {}
        with translated(), deadline(SECONDS):
            for partition, wanted in ids.items():
                ledger = self._db[LEDGER_PREFIX + partition]
                for some in batched(wanted, SLICE):
                    rows = ledger.find({"_id": {"$in": some}}, {"arrived": True})
                    for row in rows.batch_size(SLICE + 1):
                        found[bytes(row["_id"])] = typed.moment(row.get("arrived")) or 0
        return found

    def settle(self, verdicts: Mapping[bytes, Verdict]) -> None:
        """Store what is known of each DM by now, and count it in the sums, in one transaction.

        Sums that are no numbers begin at 0 again.
        """
        touched: set[str] = set()
        body = partial(self._settle, verdicts, touched)
        try:
            self._runner.run_transaction(body)
        except PoisonError:
            self._reset(touched)
            self._runner.run_transaction(body)

    def _settle(
        self, verdicts: Mapping[bytes, Verdict], touched: set[str], session: ClientSession | None
    ) -> None:
        """Adds the ids of the sums that it changes to ``touched``."""
        keys = list(verdicts)
        sums: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        groups: dict[State, list[bytes]] = defaultdict(list)
        writes: list[UpdateOne] = []
        # Read again: another leader may have been faster.
        for found in self._sends.find({"_id": {"$in": keys}}, session=session):
            send, before = _send(found), found.get("state")
            after, due_ms = verdicts[send.digest]
            if due_ms is None:
                groups[after].append(send.digest)
            else:
                change = {"state": after.value, "due": to_datetime(due_ms)}
                writes.append(UpdateOne({"_id": send.digest}, {"$set": change}))
            if before == after:
                continue
            # A DM of a forgotten account has none, and counts in the sums of all alone.
            for account in {send.account, ALL}:
                day = sums[day_start(send.at_ms), account]
                day[after] += 1
                if before in COUNTED:
                    day[before] -= 1
        touched.update(day_key(*key) for key in sums)
        if session is None:
            # Without a transaction a refused sum would be lost: its DMs' states are stored already.
            self._reset(touched)
        for state, ids in groups.items():
            self._sends.update_many(
                {"_id": {"$in": ids}},
                {"$set": {"state": state.value}, "$unset": {"due": ""}},
                session=session,
            )
        if writes:
            self._sends.bulk_write(writes, ordered=False, session=session)
        if sums:
            days = [_sum(day, account, n) for (day, account), n in sums.items()]
            self._days.bulk_write(days, ordered=False, session=session)

    def _reset(self, days: Iterable[str]) -> None:
        """Set the sums of these documents that are no counts to 0."""
        with translated(), deadline(SECONDS):
            fields = dict.fromkeys(COUNTED, True)
            for found in list(self._days.find({"_id": {"$in": list(days)}}, fields)):
                odd = [each for each in COUNTED if not _is_count(found.get(each, 0))]
                if odd:
                    self._days.update_one({"_id": found["_id"]}, {"$set": dict.fromkeys(odd, 0)})

    def totals(self, since_ms: int, until_ms: int) -> list[SendDay]:
        """The sums of all accounts, by day, the newest first."""
        return self.of_account(ALL, since_ms, until_ms)

    def of_account(self, account: str, since_ms: int, until_ms: int) -> list[SendDay]:
        """The sums of one account, by day, the newest first. Days without DMs are left out."""
        days = range(day_start(since_ms), until_ms, DAY_MS)
        ids = [day_key(day, account) for day in reversed(days)]
        with translated(), deadline(SECONDS):
            found = {each["_id"]: each for each in self._days.find({"_id": {"$in": ids}})}
        return [_day(found[key]) for key in ids if key in found]

    def worst(self, since_ms: int, limit: int) -> list[SendDay]:
        """The accounts with lost DMs: the newest day first, and most of them first."""
        wanted = {
            "day": {"$gte": to_datetime(day_start(since_ms))},
            "lost": {"$gt": 0},
            "account": {"$ne": ALL},
        }
        order = [("day", pymongo.DESCENDING), ("lost", pymongo.DESCENDING)]
        with translated(), deadline(SECONDS):
            return [_day(each) for each in self._days.find(wanted).sort(order).limit(limit)]

    def names(self, accounts: Sequence[str]) -> dict[str, str]:
        """The names of those ``accounts`` that have one, by id."""
        values = [value for each in set(accounts) for value in typed.id_values(each)]
        names: dict[str, str] = {}
        with translated(), deadline(SECONDS):
            for some in batched(values, SLICE):
                fields = {"instagramId": True, "username": True}
                for row in self._accounts.find({"instagramId": {"$in": some}}, fields):
                    if name := typed.text(row.get("username")):
                        names[typed.identifier(row.get("instagramId")) or ""] = name
        return names


def _send(found: Document) -> Send:
    account, at_ms = typed.text(found.get("account")), typed.moment(found.get("at"))
    return Send(bytes(found["_id"]), account or "", at_ms or 0)


def _is_readable(found: Document, now_ms: int) -> bool:
    at_ms = typed.moment(found.get("at"))
    # Another subtype is not found by the bytes of its id.
    return type(found["_id"]) is bytes and at_ms is not None and 0 <= at_ms <= now_ms + HOUR_MS


def _is_count(value: object) -> bool:
    return value is not None and typed.count(value) is not None


def day_key(day_ms: int, account: str) -> str:
    """The ``_id`` of the account's sums of that day."""
    return f"{to_datetime(day_ms):%Y%m%d}:{account}"


def day_keys(account: str, now_ms: int) -> list[str]:
    """The ``_id`` of all sums that the account can have: some days more than are kept, since the
    server deletes by its own clock, and later."""
    days = range(now_ms - (DAYS_KEPT + 10) * DAY_MS, now_ms + 2 * DAY_MS, DAY_MS)
    return [day_key(day, account) for day in days]


def _sum(day_ms: int, account: str, changes: Mapping[str, int]) -> UpdateOne:
    new = {
        "day": to_datetime(day_ms),
        "account": account,
        "expiresAt": to_datetime(day_ms + DAYS_KEPT * DAY_MS),
    }
    increments = {state: changes.get(state, 0) for state in COUNTED}
    update = {"$inc": increments, "$setOnInsert": new}
    return UpdateOne({"_id": day_key(day_ms, account)}, update, upsert=True)


def _day(found: Document) -> SendDay:
    echoed, late, lost = (typed.count(found.get(state)) or 0 for state in COUNTED)
    return SendDay(
        typed.moment(found.get("day")) or 0,
        typed.text(found.get("account")) or "",
        echoed,
        late,
        lost,
    )
