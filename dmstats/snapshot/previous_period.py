"""What the same part of the day, hour or month before had, to compare with; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, month_of
from dmstats.db.dashboard.readings import Population, Readings, month_before

MINUTE_MS = 60_000
POPULATION_DAYS = 32

Counts = tuple[int, int]
NONE: Counts = (0, 0)


def history_start(readings: Readings) -> int | None:
    """When counting began (ms): the first bucket there is, if all that was ever counted is in
    the days that were read; None if it began before them."""
    in_days = add(counts_of(day) for day in readings.days.values())
    totals = (count(readings.totals.get("dmsSent")), count(readings.totals.get("dmsReceived")))
    # The days are read after the totals: they may have more.
    if in_days[0] < totals[0] or in_days[1] < totals[1] or in_days == NONE:
        return None
    first_day = min(at for at, day in readings.days.items() if counts_of(day) != NONE)
    hours = [at for at, hour in readings.hours.items() if counts_of(hour) != NONE]
    # Hours are read of some days only; of the first day itself, or of none before it.
    return min((at for at in hours if day_start(at) == first_day), default=first_day)


def today_before(readings: Readings, now_ms: int) -> Counts | None:
    """Yesterday until this time: the whole day less the hours after, which are read anyway."""
    then = now_ms - DAY_MS
    if _is_before_history(readings, day_start(then)):
        return None
    late = (
        hour_start(then) + i * HOUR_MS
        for i in range(1, 24)
        if day_start(hour_start(then) + i * HOUR_MS) == day_start(then)
    )
    after = add(
        [*(counts_of(readings.hours.get(at)) for at in late), _rest_of_hour(readings, then)]
    )
    whole = counts_of(readings.days.get(day_start(then)))
    return max(0, whole[0] - after[0]), max(0, whole[1] - after[1])


def month_so_far_before(readings: Readings, now_ms: int) -> Counts | None:
    """Last month until this day and time; all of it where it is shorter."""
    then = month_before(now_ms)
    month, day = month_of(day_start(then)), day_start(then)
    days = [at for at in range(day - 31 * DAY_MS, day, DAY_MS) if month_of(at) == month]
    if _is_before_history(readings, min([day, *days])):
        return None
    hours = range(day, hour_start(then), HOUR_MS)
    return add(
        [
            *(counts_of(readings.days.get(at)) for at in days),
            *(counts_of(readings.hours.get(at)) for at in hours),
            _start_of_hour(readings, then),
        ]
    )


def minutes_before(
    minutes: Mapping[int, Counts], readings: Readings, last_ms: int, number: int
) -> Counts | None:
    """The ``number`` minutes up to ``last_ms`` (the start of one), a day earlier."""
    last = last_ms - DAY_MS
    first = last - (number - 1) * MINUTE_MS
    if _is_before_history(readings, hour_start(first)):
        return None
    return add(minutes.get(at, NONE) for at in range(first, last + 1, MINUTE_MS))


def population(known: Population, now_ms: int, active: int, users: int) -> Population:
    """Active accounts and users by day (ms), with today's; each day keeps what it began with."""
    today = day_start(now_ms)
    kept = {at: pair for at, pair in known.items() if 0 <= today - at < POPULATION_DAYS * DAY_MS}
    return dict(sorted({today: (active, users), **kept}.items()))


def count(value: object) -> int:
    """A counter as the store has it: missing counts as none, and a driver may give floats."""
    if type(value) is int:
        return value  # nearly all are, and a snapshot reads thousands
    return int(value) if isinstance(value, int | float) else 0


def counts_of(bucket: Mapping[str, object] | None) -> Counts:
    """Sent and received of an hour, day or minute; a missing one has none."""
    return (count(bucket.get("sent")), count(bucket.get("received"))) if bucket else NONE


def add(counts: Iterable[Counts]) -> Counts:
    """The sums."""
    pairs = list(counts)
    return sum(sent for sent, _ in pairs), sum(received for _, received in pairs)


def _is_before_history(readings: Readings, at_ms: int) -> bool:
    start = history_start(readings)
    return not readings.totals or (start is not None and at_ms < start)


def _start_of_hour(readings: Readings, then_ms: int) -> Counts:
    return _part_of_hour(readings, then_ms, range(then_ms % HOUR_MS // MINUTE_MS + 1))


def _rest_of_hour(readings: Readings, then_ms: int) -> Counts:
    return _part_of_hour(readings, then_ms, range(then_ms % HOUR_MS // MINUTE_MS + 1, 60))


def _part_of_hour(readings: Readings, then_ms: int, wanted: range) -> Counts:
    hour: Mapping[str, Any] = readings.hours.get(hour_start(then_ms)) or {}
    minutes = hour.get("minutes") or {}
    return add(counts_of(minutes.get(str(minute))) for minute in wanted)
