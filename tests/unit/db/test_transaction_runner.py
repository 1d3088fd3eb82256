"""Background transactions that the server ends: tried again, or made smaller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dmstats.core.errors import Conflict, DmstatsError, TransactionExpired
from dmstats.db import transaction_runner
from dmstats.db.transaction_runner import EXPIRED_TRIES, TransactionRunner


class Transactions:
    """Runs bodies; ``failures`` are raised one per transaction, first to last."""

    def __init__(self) -> None:
        self.failures: list[DmstatsError | None] = []
        self.begun = 0

    def run(self, body: Callable[[Any], object], *, seconds: float, snapshot: bool) -> None:
        self.begun += 1
        body("session")
        if self.failures and (failure := self.failures.pop(0)):
            raise failure


class Server:
    """Has transactions."""

    def transactional(self) -> bool:
        return True


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> Transactions:
    monkeypatch.setattr(transaction_runner, "MAX_PAUSE_SECONDS", 0.0)
    return Transactions()


@pytest.fixture
def runner(transactions: Transactions) -> TransactionRunner:
    server: Any = Server()
    runner = TransactionRunner(server)
    runner._transactions = transactions  # type: ignore[assignment]
    return runner


def test_it_works(runner: TransactionRunner, transactions: Transactions) -> None:
    transactions.failures = [Conflict(), Conflict()]
    assert runner.run_transaction(lambda session: transactions.begun) == 3


def test_a_transaction_that_always_takes_too_long_is_given_up(
    runner: TransactionRunner, transactions: Transactions
) -> None:
    transactions.failures = [TransactionExpired()] * 10
    with pytest.raises(TransactionExpired):
        runner.run_transaction(lambda session: None)
    assert transactions.begun == EXPIRED_TRIES


def test_one_that_reaches_our_own_limit_is_given_up_as_well(
    runner: TransactionRunner, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction_runner, "SECONDS", 0.0)
    transactions.failures = [Conflict()] * 10
    with pytest.raises(TransactionExpired):
        runner.run_transaction(lambda session: None, expired_tries=2)
    assert transactions.begun == 2


@pytest.mark.parametrize(("most", "sizes"), [(100, [10]), (4, [2] * 5), (1, [1] * 10)])
def test_parts_are_made_smaller_until_they_fit(
    runner: TransactionRunner, most: int, sizes: list[int]
) -> None:
    def body(some: Sequence[int], session: object) -> None:
        if len(some) > most:
            raise TransactionExpired

    parts = [list(part) for part in runner.run_in_parts(range(10), body)]
    assert [len(part) for part in parts] == sizes
    assert [item for part in parts for item in part] == [*range(10)]


def test_one_item_that_never_fits_is_an_error(runner: TransactionRunner) -> None:
    def body(some: Sequence[int], session: object) -> None:
        if 3 in some:
            raise TransactionExpired

    parts = runner.run_in_parts(range(10), body)
    assert [list(next(parts)) for _ in range(2)] == [[0, 1], [2]]
    with pytest.raises(TransactionExpired):
        next(parts)
