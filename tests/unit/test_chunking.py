"""A delivery is never too large to be counted."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dmstats.commit.limits import MOST_ACCOUNTS, MOST_HOURS, split_by_write_set
from dmstats.core.clock import HOUR_MS, hour_start
from dmstats.core.records import LedgerRow


def row(number: int, *, hour: int = 0, account: str = "a") -> LedgerRow:
    return LedgerRow(str(number).encode(), "", account, "sent", hour * HOUR_MS + 1, 1)


def sizes(rows: Sequence[LedgerRow]) -> list[int]:
    return [len(chunk) for chunk in split_by_write_set(rows)]


def test_it_works() -> None:
    rows = [row(n) for n in range(2000)]
    assert list(split_by_write_set(rows)) == [rows]
    assert list(split_by_write_set([])) == [[]], (
        "what else a batch has to tell needs a transaction, too"
    )


def test_many_hours_are_several_portions() -> None:
    assert sizes([row(n, hour=n % 120) for n in range(240)]) == [100, 100, 40]


def test_many_accounts_are_several_portions() -> None:
    assert sizes([row(n, account=str(n)) for n in range(1000)]) == [300, 300, 300, 100]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 800)), max_size=1500))
def test_every_row_is_in_one_portion_and_each_portion_fits(made: list[tuple[int, int]]) -> None:
    rows = [row(n, hour=hour, account=str(account)) for n, (hour, account) in enumerate(made)]
    parts = list(split_by_write_set(rows))
    assert sorted(r.row_id for part in parts for r in part) == sorted(r.row_id for r in rows)
    for part in parts:
        assert len({hour_start(r.time_ms) for r in part}) <= MOST_HOURS
        assert len({r.account for r in part}) <= MOST_ACCOUNTS
