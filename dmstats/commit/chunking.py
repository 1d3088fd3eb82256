"""How much one transaction takes on, so that no delivery is too large ever to be counted; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dmstats.core.clock import hour_start
from dmstats.core.records import LedgerRow

MOST_HOURS = 50
MOST_ACCOUNTS = 300
MOST_ROWS = 2_000
"""Documents that one transaction writes. It must end well before the sender's time-out, also on a
slow database: what does not, would fail again at every retry, and everything else with it."""


def split_by_write_set(rows: Sequence[LedgerRow]) -> Iterator[Sequence[LedgerRow]]:
    """``rows`` in one portion as a rule; those of many hours or accounts in several, by time.

    A portion that was committed stays so, whatever becomes of the next: a retry goes on from there.
    """
    if _fits(rows):
        yield rows
        return
    portion: list[LedgerRow] = []
    hours: set[int] = set()
    accounts: set[str] = set()
    for row in sorted(rows, key=lambda row: row.time_ms):
        hours.add(hour_start(row.time_ms))
        accounts.add(row.account)
        full = len(portion) >= MOST_ROWS
        if full or len(hours) > MOST_HOURS or len(accounts) > MOST_ACCOUNTS:
            yield portion
            portion, hours, accounts = [], {hour_start(row.time_ms)}, {row.account}
        portion.append(row)
    yield portion


def _fits(rows: Sequence[LedgerRow]) -> bool:
    return (
        len(rows) <= MOST_ROWS
        and len({row.account for row in rows}) <= MOST_ACCOUNTS
        and len({hour_start(row.time_ms) for row in rows}) <= MOST_HOURS
    )
