"""Runs background work in a transaction, and retries it on conflicts."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession

from dmstats.core.errors import Conflict, TransactionExpired
from dmstats.db.client import Mongo, translated
from dmstats.db.transactions import Transactions

T = TypeVar("T")
Item = TypeVar("Item")

SECONDS = 60.0
"""For one transaction; the server's ``transactionLifetimeLimitSeconds`` may end it earlier."""
TRIES = 200
EXPIRED_TRIES = 3
"""How often a transaction that the server ended is tried. A fail-over ends it once; one that takes
too long ends each time."""
MAX_PAUSE_SECONDS = 0.05


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
        self,
        body: Callable[[ClientSession | None], T],
        *,
        tries: int = TRIES,
        expired_tries: int = EXPIRED_TRIES,
    ) -> T:
        """The result of ``body`` in the attempt that was committed.

        Raises :class:`~dmstats.core.errors.StoreUnavailable`, :class:`Conflict` if all ``tries``
        conflicted, or :class:`TransactionExpired` if the server ended it ``expired_tries`` times:
        the caller should do less in one transaction.
        """
        if not self.transactional:
            with translated(), pymongo.timeout(SECONDS):
                return body(None)
        results: list[T] = []
        for left in reversed(range(tries)):
            started = time.monotonic()
            try:
                with self._mutex:
                    self._transactions.run(
                        lambda session: results.append(body(session)),
                        seconds=SECONDS,
                        snapshot=True,
                    )
                break
            except Conflict as error:
                too_long = time.monotonic() - started >= SECONDS
                if too_long or isinstance(error, TransactionExpired):
                    expired_tries -= 1
                if not left:
                    raise
                if not expired_tries:
                    raise TransactionExpired(str(error), reason=error.reason) from error
            time.sleep(random.uniform(0, MAX_PAUSE_SECONDS))  # noqa: S311 - jitter
        return results[-1]

    def run_in_parts(
        self,
        items: Sequence[Item],
        body: Callable[[Sequence[Item], ClientSession | None], object],
    ) -> Iterator[Sequence[Item]]:
        """Run ``body`` for all ``items``, in as few transactions as the server's limit allows.

        Yields the items of each transaction once it is committed.
        """
        size = len(items)
        while items:
            part = items[:size]
            tries = 1 if len(part) > 1 else EXPIRED_TRIES
            try:
                self.run_transaction(partial(body, part), expired_tries=tries)
            except TransactionExpired:
                if len(part) == 1:
                    raise
                size = len(part) // 2
            else:
                items = items[size:]
                yield part
