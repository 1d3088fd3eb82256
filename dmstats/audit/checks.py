"""The checks of an audit: hours, days, late rows, accounts, totals; each reads one snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from dmstats.audit.account_activity import ActivityBuckets
from dmstats.audit.comparison import (
    NOTHING,
    base_of,
    compare,
    compare_account,
    compare_global,
    expected_of_accounts,
    flat,
    minutes_add_up,
    unknown_of,
    unreadable,
    unreadable_sums,
)
from dmstats.core.clock import DAY_MS, HOUR_MS, month_of, rfc3339
from dmstats.core.records import DIRECT_MESSAGES
from dmstats.db.audit.differences import Difference, OddDocument
from dmstats.db.audit.recount import HourCounts, Sums, add, merged
from dmstats.db.audit.snapshot_reader import HourSummary, View
from dmstats.db.collection_names import (
    ARCHIVE,
    ARCHIVE_ACCOUNTS,
    ARCHIVE_HOURS,
    DAYS,
    HOURS,
    STATS_CACHE,
)
from dmstats.db.documents import LedgerBase

LATE = 0
"""The hour of the summary of all late rows."""


class CheckResult(msgspec.Struct):
    """The result of one check, at ``version`` of the repairs.

    ``differences`` are those of hours, days and totals, ``accounts`` those of accounts. ``odd``
    lists accounts with unreadable values, and ``new_bases`` the correct ``ledgerBase`` where the
    stored one is unreadable. ``pages`` are summaries to store, with the DMs by account.
    ``stale_hours`` must be read again before this check. ``activity`` of a part of the accounts is
    known from ``since_ms`` on; ``used`` has ``dmUsed`` of each account of that part.
    """

    version: int
    differences: list[Difference] = msgspec.field(default_factory=list)
    accounts: list[Difference] = msgspec.field(default_factory=list)
    odd: list[OddDocument] = msgspec.field(default_factory=list)
    new_bases: dict[str, LedgerBase] = msgspec.field(default_factory=dict)
    pages: list[tuple[HourSummary, Sums]] = msgspec.field(default_factory=list)
    stale_hours: list[int] = msgspec.field(default_factory=list)
    activity: ActivityBuckets | None = None
    since_ms: int = 0
    used: dict[str, int | None] = msgspec.field(default_factory=dict)


def hours_of(day: int) -> range:
    """The starts of a day's hours."""
    return range(day, day + DAY_MS, HOUR_MS)


def check_hours(view: View, partition: str | None, hours: Collection[int]) -> CheckResult:
    """Compare each hour's document with its rows, including late and archived ones."""
    archive, late = view.at(ARCHIVE_HOURS, hours), view.recount.late(view.session, hours=hours)
    return _compare_hours(view, partition, hours, archive, late)


def _compare_hours(
    view: View,
    partition: str | None,
    hours: Collection[int],
    archive: Mapping[int, Mapping[str, Any]],
    late: Mapping[int, HourCounts],
) -> CheckResult:
    finding, documents = CheckResult(view.version), view.at(HOURS, hours)
    live = view.recount.hours(partition, hours, view.session) if partition else {}
    for hour in hours:
        document = documents.get(hour, {})
        counted, archived = flat(document), flat(archive.get(hour, {}))
        bucket = live.get(hour, HourCounts())
        expected = archived + bucket.counts + late.get(hour, HourCounts()).counts
        odd = unreadable(document, *DIRECT_MESSAGES, "events")
        unknown = unreadable(archive.get(hour, {}), *DIRECT_MESSAGES, "events")
        if unknown:
            finding.odd.append(OddDocument(ARCHIVE_HOURS, rfc3339(hour), tuple(unknown)))
        found = compare("hours", hour, counted, expected, odd, unknown)
        # Minutes are compared with the rows only after a mismatch, since that needs another read.
        if hour not in archive and (found or not minutes_add_up(document)):
            minutes = view.recount.minutes(partition, hour, view.session)
            odd = unreadable(document, "minutes")
            found += compare("minutes", hour, flat(document, only="minutes"), minutes, odd)
        finding.differences += found
        page = HourSummary(hour, seen(document), dict(bucket.counts), view.version)
        finding.pages.append((page, bucket.accounts))
    return finding


def check_days(view: View, days: Collection[int]) -> CheckResult:
    """Compare each day's document with its hours, corrected by their differences.

    Traffic does not change an hour's difference, so that may come from an earlier snapshot.
    """
    finding, hours = CheckResult(view.version), [hour for day in days for hour in hours_of(day)]
    pages = view.pages(hours)
    finding.stale_hours = [hour for hour in hours if hour not in pages]
    if finding.stale_hours:
        return finding
    by_hour, documents = view.at(HOURS, hours), view.at(DAYS, days)
    for day in days:
        counted = [by_hour[hour] for hour in hours_of(day) if hour in by_hour]
        expected = _dms(*counted, *(pages[hour].short for hour in hours_of(day)))
        finding.differences += _compare_day(documents.get(day, {}), day, expected)
    return finding


def check_old_days(view: View, days: Collection[int]) -> CheckResult:
    """Compare days without partition, and their hours, with the archive and the late rows."""
    hours = [hour for day in days for hour in hours_of(day)]
    late, archive = view.recount.late(view.session, hours=hours), view.at(ARCHIVE_HOURS, hours)
    finding, documents = _compare_hours(view, None, hours, archive, late), view.at(DAYS, days)
    for day in days:
        archived = [archive[hour] for hour in hours_of(day) if hour in archive]
        unknown: dict[str, str] = {}
        for document in archived:
            unknown |= unreadable(document, *DIRECT_MESSAGES)
        rows = [late[hour].counts for hour in hours_of(day) if hour in late]
        expected = _dms(*archived, *rows)
        finding.differences += _compare_day(documents.get(day, {}), day, expected, unknown)
    finding.pages = []
    return finding


def check_late_rows(view: View) -> CheckResult:
    """Create the summary of all late rows, for the accounts and the totals."""
    bucket = merged(view.recount.late(view.session).values())
    page = HourSummary(
        LATE, _late(view.one(STATS_CACHE, "global")), dict(bucket.counts), view.version
    )
    return CheckResult(view.version, pages=[(page, bucket.accounts)])


def check_accounts(
    view: View, part: int, live: Mapping[int, str], now_ms: int, *, most: int
) -> CheckResult:
    """Compare one part of the accounts, and with the first part also the totals.

    Hours that have changed since their summary was stored are read again here, in the same snapshot
    as the counters. If there are more than ``most``, they are only returned as ``stale_hours``.
    """
    documents = view.at(HOURS, [hour for day in live for hour in hours_of(day)])
    pages = view.pages([LATE, *(hour for day in live for hour in hours_of(day))])
    total = view.one(STATS_CACHE, "global")
    changed = {
        hour
        for day in live
        for hour in hours_of(day)
        if seen(documents.get(hour, {})) != (pages[hour].seen if hour in pages else {})
    }
    if len(changed) > most:
        return CheckResult(view.version, stale_hours=sorted(changed))
    if LATE not in pages or pages[LATE].seen != _late(total):
        changed.add(LATE)
    activity = ActivityBuckets(now_ms, min(live, default=now_ms))
    hours = _read(view, live, changed)
    # The summary of late rows is not split by hour, so they are read here.
    late: dict[int, HourCounts] = {}
    if LATE in changed or flat(total)["late"]:
        wanted = None if LATE in changed else activity.hours()
        late = view.recount.late(view.session, hours=wanted)
    for hour, bucket in [*hours.items(), *late.items()]:
        activity.add(hour, view.only(part, bucket.accounts))
    fresh = merged([*hours.values(), *(late.values() if LATE in changed else ())])
    held = [hour for hour in pages if hour not in changed and pages[hour].counts]
    for hour, sums in view.sums(held, part):
        add(fresh.accounts, sums)
        activity.add(hour, sums)
    (known, odd), archived = view.accounts(part), view.archived(part)
    changes, backlog = view.known_changes(part), view.backlog(part)
    expected = expected_of_accounts(view.only(part, fresh.accounts), archived)
    unknown = {name: odd_of for name, each in archived.items() if (odd_of := unknown_of(each))}
    odd += [
        OddDocument(ARCHIVE_ACCOUNTS, name, tuple(sorted(unreadable_sums(archived[name]))))
        for name in sorted(unknown)
    ]
    accounts = [
        difference
        for name in sorted(known.keys() | expected.keys())
        for difference in compare_account(
            name,
            known.get(name),
            expected.get(name, {}),
            month_of(now_ms),
            changes.get(name, NOTHING),
            backlog.get(name, NOTHING),
            unknown.get(name, ()),
        )
    ]
    new_bases = {
        name: base_of(
            account,
            expected.get(name, {}),
            month_of(now_ms),
            changes.get(name, NOTHING),
            backlog.get(name, NOTHING),
        )
        for name, account in known.items()
        if "ledgerBase" in account.odd and name not in unknown
    }
    found: list[Difference] = []
    if part == 0:
        totals = view.one(ARCHIVE, "totals")
        counts = fresh.counts + flat(totals)
        for hour in held:
            counts.update(pages[hour].counts)
        lost = unreadable(totals, *DIRECT_MESSAGES, "events")
        if lost:
            odd.append(OddDocument(ARCHIVE, "totals", tuple(lost)))
        found += compare_global(total, counts, lost)
    since_ms = min(documents, default=now_ms)
    used = {name: account.dm_used for name, account in known.items()}
    return CheckResult(
        view.version, found, accounts, odd, new_bases,
        activity=activity, since_ms=since_ms, used=used,
    )  # fmt: skip


def seen(document: Mapping[str, Any]) -> dict[str, int]:
    """An hour's counters for its summary; they change with every row of the hour. If one cannot be
    read, the minutes are included, which change as well."""
    counts = flat(document)
    if unreadable(document, *DIRECT_MESSAGES, "events"):
        counts.update(flat(document, only="minutes"))
    return {field: n for field, n in counts.items() if n}


def _read(view: View, live: Mapping[int, str], hours: Collection[int]) -> dict[int, HourCounts]:
    buckets: dict[int, HourCounts] = {}
    for day, partition in live.items():
        wanted = [hour for hour in hours_of(day) if hour in hours]
        if wanted:
            buckets |= view.recount.hours(partition, wanted, view.session)
    return buckets


def _late(total: Mapping[str, Any]) -> dict[str, int]:
    return {"late": flat(total)["late"]}


def _dms(*counts: Mapping[str, Any]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in map(flat, counts):
        total.update({kind: each[kind] for kind in DIRECT_MESSAGES})
    return total


def _compare_day(
    document: Mapping[str, Any],
    day: int,
    expected: Mapping[str, int],
    unknown: Mapping[str, str] | None = None,
) -> list[Difference]:
    odd = unreadable(document, *DIRECT_MESSAGES)
    return compare("days", day, flat(document), expected, odd, unknown)
