"""Applies deferred increments to their accounts once those can be changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import pymongo
from pymongo import ReplaceOne
from pymongo.client_session import ClientSession

from dmstats.core.clock import Clock, to_datetime
from dmstats.core.errors import AccountRefused, Conflict, DmstatsError, PoisonError
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_BACKLOG
from dmstats.db.counting.accounts import Accounts
from dmstats.db.counting.backlog_documents import (
    account_of,
    delta_of,
    moment_ms,
    refusal,
    whole,
)
from dmstats.db.transaction_runner import TransactionRunner

log = logging.getLogger(__name__)

Due = dict[str, list[Any]]
"""The ``_id`` of each account's backlog documents."""

RETRY_SECONDS = 60.0
MAX_PER_TICK = 5_000
TOGETHER = 50
"""Accounts in one transaction, as long as the host platform changes none of them."""
TRIES, TRIES_TOGETHER = 20, 2
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

    After each pass, ``report`` is called with the number of accounts that need attention: an
    attempt failed, and their increments still wait.
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
        """Apply all due increments, several accounts per transaction; whether any were due.

        An account that still cannot be changed is retried after a minute.
        """
        now = to_datetime(self._clock.now_ms())
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._backlog.find({"retryAt": {"$not": {"$gt": now}}}, {"account": True})
            due: Due = {}
            for document in found.limit(MAX_PER_TICK):
                if account := account_of(document):
                    due.setdefault(account, []).append(document["_id"])
        accounts = sorted(due)
        try:
            # Without transactions, what was added before an account is refused stays added.
            size = TOGETHER if self._runner.transactional else 1
            groups = [accounts[at : at + size] for at in range(0, len(accounts), size)]
            while groups:
                groups += self._apply(groups.pop(), due)
        except DmstatsError as error:
            log.info("backlog_drain_failed", extra={"reason": str(error)})
        with translated(), pymongo.timeout(READ_SECONDS):
            self._report(self._backlog.count_documents({"attention": True}))
        return bool(due)

    def _apply(self, accounts: list[str], due: Due) -> list[list[str]]:
        """Apply the increments of ``accounts`` in one transaction; what must be tried in smaller
        ones, since one of them is refused or being changed by the host platform."""
        alone = len(accounts) == 1
        try:
            self._runner.run_transaction(
                partial(self._move, accounts, due), tries=TRIES if alone else TRIES_TOGETHER
            )
        except (AccountRefused, PoisonError, Conflict) as error:
            if not alone:
                middle = len(accounts) // 2
                return [accounts[:middle], accounts[middle:]]
            if not isinstance(error, Conflict):
                self._runner.run_transaction(
                    partial(self._move, accounts, due, refused={accounts[0]: str(error)})
                )
        return []

    def waiting(self, *, limit: int = 20) -> list[Deferred]:
        """Up to ``limit`` accounts that need attention (an attempt failed), oldest first."""
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._backlog.find({"attention": True}).sort("since", 1).limit(limit)
            return [_deferred(document) for document in found]

    def _move(
        self,
        accounts: list[str],
        due: Due,
        session: ClientSession | None,
        *,
        refused: Mapping[str, str] | None = None,
    ) -> None:
        """Add the increments of ``accounts``; those that are ``refused``, for which reason, wait.
        Without ``refused``, those wait whose documents show that they cannot be changed."""
        ids = [key for account in accounts for key in due[account]]
        found: dict[str, list[Document]] = {}
        for document in self._backlog.find({"_id": {"$in": ids}}, session=session):
            found.setdefault(account_of(document), []).append(document)
        self._backlog.delete_many({"_id": {"$in": ids}}, session=session)
        if refused is None:
            deltas = {account: delta_of(documents) for account, documents in found.items()}
            try:
                refused = self._accounts.apply(deltas, self._clock.now_ms(), session)
            except AccountRefused as error:
                if session is not None:
                    raise
                # No transaction takes the deletion back.
                refused = dict.fromkeys(deltas, str(error))
        if refused:
            self._postpone(found, refused, session)

    def _postpone(
        self,
        found: dict[str, list[Document]],
        refused: Mapping[str, str],
        session: ClientSession | None,
    ) -> None:
        """Store all increments of each refused account in one document, including those of an
        existing document that is not due yet."""
        now_ms = self._clock.now_ms()
        retry_ms = now_ms + round(RETRY_SECONDS * 1000)
        for document in self._backlog.find({"_id": {"$in": list(refused)}}, session=session):
            found.setdefault(document["_id"], []).append(document)
        contents = {
            account: refusal(found[account], reason, now_ms, retry_ms)
            for account, reason in refused.items()
            if account in found
        }
        writes = [ReplaceOne({"_id": a}, content, upsert=True) for a, content in contents.items()]
        if writes:
            self._backlog.bulk_write(writes, session=session)


def _deferred(document: Document) -> Deferred:
    return Deferred(
        account=account_of(document),
        reason=str(document.get("reason", "")),
        since_ms=moment_ms(document.get("since")),
        sent=whole(document.get("sent")),
        received=whole(document.get("received")),
    )
