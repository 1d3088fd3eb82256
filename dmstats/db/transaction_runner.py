"""Runs background work in a transaction, and retries it on conflicts."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession

from dmstats.core.errors import Conflict
from dmstats.db.client import Mongo, translated
from dmstats.db.transactions import Transactions

T = TypeVar("T")

SECONDS = 60.0
"""For one transaction; the server's ``transactionLifetimeLimitSeconds`` may end it earlier."""
TRIES = 200
LONGEST_PAUSE_SECONDS = 0.05


class TransactionRunner:
    """Runs functions in snapshot transactions, one at a time.

    A standalone server has no transactions: there the function is called without a session.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._transactions = Transactions(mongo)
        # The scheduler's jobs run concurrently, and a session allows one transaction at a time.
        self._mutex = threading.Lock()

    @property
    def transactional(self) -> bool:
        """Whether transactions are supported; see :meth:`Mongo.transactional`."""
        return self._mongo.transactional()

    def run_transaction(
        self, body: Callable[[ClientSession | None], T], *, tries: int = TRIES
    ) -> T:
        """The result of ``body`` in the attempt that was committed.

        Raises :class:`~dmstats.core.errors.StoreUnavailable`, or :class:`Conflict` if all ``tries``
        conflicted.
        """
        if not self.transactional:
            with translated(), pymongo.timeout(SECONDS):
                return body(None)
        results: list[T] = []
        for left in reversed(range(tries)):
            try:
                with self._mutex:
                    self._transactions.run(
                        lambda session: results.append(body(session)),
                        seconds=SECONDS,
                        snapshot=True,
                    )
                break
            except Conflict:
                if not left:
                    raise
            time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))  # noqa: S311 - jitter
        return results[-1]
