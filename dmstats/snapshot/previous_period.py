"""The figures of the same part of the previous day, hour or month, for comparison; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dmstats.core.clock import DAY_MS, HOUR_MS, MINUTE_MS, day_start, hour_start, month_of
from dmstats.db.dashboard.readings import Population, Readings, month_before
from dmstats.db.documents import EMPTY, Bucket, Hour

POPULATION_DAYS = 32

Counts = tuple[int, int]
NONE: Counts = (0, 0)
NO_HOUR = Hour()


def history_start(readings: Readings) -> int | None:
    """When counting began (ms): the first bucket, if the days that were read contain everything
    ever counted; None if counting began earlier."""
    in_days = add(readings.days.values())
    totals = (readings.totals.sent, readings.totals.received)
    if totals[0] is None or totals[1] is None or in_days == NONE:
        return None
    # The days are read after the totals, so they may have more.
    if in_days[0] < totals[0] or in_days[1] < totals[1]:
        return None
    first_day = min(at for at, day in readings.days.items() if day != NONE)
    hours = [at for at, hour in readings.hours.items() if hour.counts != NONE]
    # Hours are read only for some days; use those of the first day, if there are any.
    return min((at for at in hours if day_start(at) == first_day), default=first_day)


def today_before(readings: Readings, now_ms: int) -> Counts | None:
    """Yesterday until this time: the whole day minus the later hours, which are read anyway."""
    then = now_ms - DAY_MS
    if _is_before_history(readings, day_start(then)):
        return None
    late = (
        hour_start(then) + i * HOUR_MS
        for i in range(1, 24)
        if day_start(hour_start(then) + i * HOUR_MS) == day_start(then)
    )
    after = add([*(_hour(readings, at).counts for at in late), _rest_of_hour(readings, then)])
    whole = add([readings.days.get(day_start(then), EMPTY)])
    return max(0, whole[0] - after[0]), max(0, whole[1] - after[1])


def month_so_far_before(readings: Readings, now_ms: int) -> Counts | None:
    """Last month until this day and time; the whole month if it is shorter."""
    then = month_before(now_ms)
    month, day = month_of(day_start(then)), day_start(then)
    days = [at for at in range(day - 31 * DAY_MS, day, DAY_MS) if month_of(at) == month]
    if _is_before_history(readings, min([day, *days])):
        return None
    hours = range(day, hour_start(then), HOUR_MS)
    return add(
        [
            *(readings.days.get(at, EMPTY) for at in days),
            *(_hour(readings, at).counts for at in hours),
            _start_of_hour(readings, then),
        ]
    )


def minutes_before(
    minutes: Mapping[int, Bucket], readings: Readings, last_ms: int, number: int
) -> Counts | None:
    """The ``number`` minutes up to ``last_ms`` (the start of a minute), one day earlier."""
    last = last_ms - DAY_MS
    first = last - (number - 1) * MINUTE_MS
    if _is_before_history(readings, hour_start(first)):
        return None
    return add(minutes.get(at, NONE) for at in range(first, last + 1, MINUTE_MS))


def population(known: Population, now_ms: int, active: int, users: int) -> Population:
    """Active accounts and users by day (ms), including today; each day keeps its first value."""
    today = day_start(now_ms)
    kept = {at: pair for at, pair in known.items() if 0 <= today - at < POPULATION_DAYS * DAY_MS}
    return dict(sorted({today: (active, users), **kept}.items()))


def add(counts: Iterable[Bucket]) -> Counts:
    """The sums; an unreadable count adds 0."""
    pairs = list(counts)
    return sum(sent or 0 for sent, _ in pairs), sum(received or 0 for _, received in pairs)


def _is_before_history(readings: Readings, at_ms: int) -> bool:
    start = history_start(readings)
    return not readings.totals.counting or (start is not None and at_ms < start)


def _start_of_hour(readings: Readings, then_ms: int) -> Counts:
    return _part_of_hour(readings, then_ms, range(then_ms % HOUR_MS // MINUTE_MS + 1))


def _rest_of_hour(readings: Readings, then_ms: int) -> Counts:
    return _part_of_hour(readings, then_ms, range(then_ms % HOUR_MS // MINUTE_MS + 1, 60))


def _part_of_hour(readings: Readings, then_ms: int, wanted: range) -> Counts:
    minutes = _hour(readings, hour_start(then_ms)).minutes
    return add(minutes.get(minute, EMPTY) for minute in wanted)


def _hour(readings: Readings, start_ms: int) -> Hour:
    return readings.hours.get(start_ms, NO_HOUR)
