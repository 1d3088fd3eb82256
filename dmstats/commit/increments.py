"""From ledger rows to merged counter increments; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from dmstats.core.clock import MINUTE_MS, day_start, hour_start, month_of
from dmstats.core.records import CANARY, DIRECT_MESSAGES, SENT, AccountDelta, Deltas, LedgerRow


def merge(rows: Iterable[LedgerRow], *, duplicates: int = 0, rejected: int = 0) -> Deltas:
    """Sum up ``rows``: one delta per account, hour and day, and one for the totals.

    The number of database writes then depends on the number of accounts, not of events.
    """
    accounts: dict[str, AccountDelta] = {}
    hours: dict[int, Counter[str]] = {}
    totals: Counter[str] = Counter()
    months: dict[int, str] = {}
    last_event_ms = canary_ms = 0
    for row in rows:
        if row.kind == CANARY:
            canary_ms = max(canary_ms, row.time_ms)
            continue
        last_event_ms = max(last_event_ms, row.time_ms)
        if row.late:
            totals["late"] += 1
        hour = hour_start(row.time_ms)
        if hour not in months:
            months[hour] = month_of(hour)
            hours[hour] = Counter()
        if row.kind not in DIRECT_MESSAGES:
            totals[f"events.{row.kind}"] += 1
            # Counted per hour as well: the audit uses this to detect hours that have changed.
            hours[hour][f"events.{row.kind}"] += 1
            if row.name:
                totals[f"unknown.{row.name}"] += 1
            continue
        hours[hour][row.kind] += 1
        hours[hour][f"minutes.{(row.time_ms - hour) // MINUTE_MS}.{row.kind}"] += 1
        account = accounts.get(row.account)
        if account is None:
            account = accounts[row.account] = AccountDelta()
        _add(account, row, months[hour])
    for bucket in hours.values():
        totals["dmsSent"] += bucket["sent"]
        totals["dmsReceived"] += bucket["received"]
    totals["duplicates"] += duplicates
    totals["rejected"] += rejected
    return Deltas(
        accounts=accounts,
        hours={start: +bucket for start, bucket in hours.items()},
        days=_days(hours),
        totals=+totals,
        last_event_ms=last_event_ms,
        canary_ms=canary_ms,
    )


def _add(account: AccountDelta, row: LedgerRow, month: str) -> None:
    if month > account.month:
        account.month, account.month_sent = month, 0
    if row.kind == SENT:
        account.sent += 1
        account.month_sent += month == account.month
        account.last_sent_ms = max(account.last_sent_ms, row.time_ms)
    else:
        account.received += 1
        account.last_received_ms = max(account.last_received_ms, row.time_ms)


def _days(hours: dict[int, Counter[str]]) -> dict[int, Counter[str]]:
    days: dict[int, Counter[str]] = {}
    for start, bucket in hours.items():
        for field in DIRECT_MESSAGES:
            if bucket[field]:
                days.setdefault(day_start(start), Counter())[field] += bucket[field]
    return days
