"""What is usual for an account, from the hours and days that an audit has counted; pure.

An audit knows an account's hours for as long as the ledger has their rows, usually seven days.
Earlier days come from the rhythm that the previous audit stored, so each audit extends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from dmstats.core.clock import DAY_MS, HOUR_MS
from dmstats.db.audit.activity_store import AccountActivity
from dmstats.db.states.rhythms import Rhythm

DAY_HOURS = 24
DAYS = 35
"""How many days a rhythm covers: five weekends, so that one of them may be a long one."""
KNOWN_AFTER_DAYS = 14
"""An account has no rhythm in its first two weeks, which contain two weekends."""
REGULAR_SHARE = 0.6
"""The share of days with DMs that makes a rhythm; five days a week with two holidays a month have
0.64. An account that sends irregularly has no usual pause."""
BUSY_AFTER_DAYS = 7
"""The minimum number of days with DMs for a busy day."""


def rhythms_of(
    accounts: Mapping[str, AccountActivity],
    before: Mapping[str, Rhythm],
    used: Mapping[str, int | None],
    *,
    hour_ms: int,
    hours: int,
    days: int,
) -> dict[str, Rhythm]:
    """The rhythms of those accounts of ``used`` that have sent in the last :data:`DAYS` days.

    ``used`` has ``dmUsed`` of every account. ``accounts`` were counted in this number of ``hours``
    and ``days`` up to the hour that began at ``hour_ms``. ``before`` has the rhythms that the last
    audit stored.
    """
    found = {}
    for name in accounts.keys() | before.keys():
        if name in used:
            counts = accounts.get(name) or AccountActivity.empty(hours, days)
            rhythm = rhythm_of(counts, before.get(name), hour_ms, used[name])
            if rhythm is not None:
                found[name] = rhythm
    return found


def rhythm_of(
    counts: AccountActivity, before: Rhythm | None, hour_ms: int, used: int | None
) -> Rhythm | None:
    """One account's rhythm; None if it has not sent in the last :data:`DAYS` days."""
    hour = hour_ms // HOUR_MS
    days = _days(counts.days_sent, before, hour_ms // DAY_MS)
    if not any(days):
        return None
    recent = sum(counts.hours_sent[-DAY_HOURS:])
    # During a pause the usual pause is kept, because the hours that show it leave the ledger.
    known = before.pause_hours if before and not recent else 0
    pause = known or _usual_pause(counts.hours_sent, days, hour)
    return Rhythm(hour, days, pause, _busy_day(days), recent, used)


def _days(counted: Sequence[int], before: Rhythm | None, last: int) -> tuple[int, ...]:
    """The last :data:`DAYS` days up to ``last``, in days since the epoch; no leading zeros."""
    known = dict(zip(range(last - len(counted) + 1, last + 1), counted, strict=True))
    if before is not None:
        its_last = before.hour // DAY_HOURS
        for day, sent in enumerate(before.days, its_last - len(before.days) + 1):
            known.setdefault(day, sent)
    days = [known.get(day, 0) for day in range(last - DAYS + 1, last + 1)]
    first = next((place for place, sent in enumerate(days) if sent), len(days))
    return tuple(days[first:])


def _usual_pause(hours: Sequence[int], days: Sequence[int], hour: int) -> int:
    """The second longest pause, in hours: the longest may have been a holiday or an outage. 0 if
    the account is too young, or does not send regularly.

    Between two hours with DMs where hours are known, between two days before that. The current
    pause does not count: it is not over.
    """
    active = [place for place, sent in enumerate(days) if sent]
    span = active[-1] - active[0] + 1
    if span <= KNOWN_AFTER_DAYS or len(active) < REGULAR_SHARE * span:
        return 0
    at = [place for place, sent in enumerate(hours) if sent]
    pauses = [later - earlier for earlier, later in pairwise(at)]
    hours_from = (hour - len(hours) + 1) // DAY_HOURS - (hour // DAY_HOURS - len(days) + 1)
    pauses += [
        (later - earlier) * DAY_HOURS
        for earlier, later in pairwise(active)
        if earlier < hours_from and later - earlier > 1
    ]
    return sorted(pauses)[-2] if len(pauses) > 1 else 0


def _busy_day(days: Sequence[int]) -> int:
    """The DMs of the second busiest day before yesterday; 0 if too few days are known. Yesterday is
    excluded, because it may be part of the 24 hours that are compared."""
    known = sorted(sent for sent in days[:-2] if sent)
    return known[-2] if len(known) >= BUSY_AFTER_DAYS else 0
