"""Applies deferred increments to their accounts once those can be changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import msgspec
import pymongo
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock, to_datetime
from dmstats.core.errors import AccountRefused, DmstatsError, PoisonError
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_BACKLOG
from dmstats.db.counting.account_backlog import delta_of, moment_ms, whole
from dmstats.db.counting.accounts import Accounts
from dmstats.db.transaction_runner import TransactionRunner

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
MOST_PER_TICK = 200
READ_SECONDS = 5.0


class Deferred(msgspec.Struct, frozen=True):
    """An account with deferred increments: the reason, and since when (ms)."""

    account: str
    reason: str
    since_ms: int
    sent: int
    received: int


class AccountBacklog:
    """The backlog of deferred increments, which the leader drains.

    ``report`` is told after each pass how many accounts need attention: an attempt failed, and
    their increments still wait.
    """

    def __init__(
        self,
        mongo: Mongo,
        runner: TransactionRunner,
        clock: Clock,
        report: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._backlog = mongo.db[ACCOUNT_BACKLOG]
        self._accounts = Accounts(mongo)
        self._runner = runner
        self._clock = clock
        self._report = report

    def drain(self) -> bool:
        """Apply all due increments, one transaction per account; whether any were due.

        An account that still cannot be changed is retried after a minute.
        """
        now = to_datetime(self._clock.now_ms())
        with translated(), pymongo.timeout(READ_SECONDS):
            due = self._backlog.find({"retryAt": {"$not": {"$gt": now}}}, {"_id": True})
            accounts = [str(found["_id"]) for found in due.limit(MOST_PER_TICK)]
        for account in accounts:
            try:
                self._runner.run_transaction(partial(self._move, account))
            except (AccountRefused, PoisonError) as error:
                self._postpone(account, str(error))
            except DmstatsError as error:
                log.info("backlog_drain_failed", extra={"reason": str(error)})
                break
        with translated(), pymongo.timeout(READ_SECONDS):
            self._report(self._backlog.count_documents({"attention": True}))
        return bool(accounts)

    def waiting(self, *, limit: int = 20) -> list[Deferred]:
        """Up to ``limit`` accounts that need attention (an attempt failed), oldest first."""
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._backlog.find({"attention": True}).sort("since", 1).limit(limit)
            return [_deferred(document) for document in found]

    def _move(self, account: str, session: ClientSession | None) -> None:
        found = self._backlog.find_one_and_delete({"_id": account}, session=session)
        if found is not None:
            delta = delta_of(found)
            self._accounts.apply({account: delta}, self._clock.now_ms(), session, strict=True)

    def _postpone(self, account: str, reason: str) -> None:
        retry_at = to_datetime(self._clock.now_ms() + round(RETRY_SECONDS * 1000))
        update = {"$set": {"reason": reason, "retryAt": retry_at, "attention": True}}
        with translated(), pymongo.timeout(READ_SECONDS):
            self._backlog.update_one({"_id": account}, update)


def _deferred(document: Document) -> Deferred:
    return Deferred(
        account=str(document["_id"]),
        reason=str(document.get("reason", "")),
        since_ms=moment_ms(document.get("since")),
        sent=whole(document.get("sent")),
        received=whole(document.get("received")),
    )
