"""Estimates the DMs of an account in the current hour and in the one before; pure.

A pass reads each counter every few minutes. DMs between two reads around the beginning of an hour
are divided between both hours in proportion to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dmstats.core.clock import HOUR_MS
from dmstats.db.states.state_record import HourCount

MAX_GAP_MS = HOUR_MS // 2
"""If more time passes between two reads, the hour of the DMs is unknown."""
MAX_IN_A_GAP = 1_000_000
"""Meta takes at most 300 DMs a second from an account. With a larger increase, or a decrease,
another program wrote the counter."""
YOUNG_MS = 5 * 60_000
"""A younger hour is not used for a projection."""


def seen(
    kept: HourCount | None,
    used: int | None,
    now_ms: int,
    gap_ms: int | None,
    last_sent_ms: int | None = None,
) -> HourCount | None:
    """The estimate at ``now_ms``, when the counter is ``used``;

    None if unknown. ``kept`` is the estimate ``gap_ms`` earlier; ``gap_ms`` is None if that time is
    unknown. It is returned unchanged if nothing was sent since, so that idle accounts are not
    written.
    """
    if used is None:
        return None
    hour = now_ms // HOUR_MS
    if kept is None or not 0 <= used - kept.used <= MAX_IN_A_GAP or kept.hour > hour:
        return HourCount(hour, used, None, used)
    if used == kept.used:
        return kept
    if kept.hour == hour:
        return HourCount(hour, kept.base, kept.before, used)
    if gap_ms is None or not 0 < gap_ms <= MAX_GAP_MS:
        return HourCount(hour, used, None, used)
    start = hour * HOUR_MS
    share = min(1.0, (now_ms - start) / gap_ms)
    if share < 1 and last_sent_ms is not None and last_sent_ms < start:
        share = 0.0
    base = used - round((used - kept.used) * share)
    return HourCount(hour, base, base - (kept.base if kept.hour == hour - 1 else kept.used), used)


def sent_in(count: HourCount | None, hour: int) -> int | None:
    """The DMs of ``hour`` (hours since the epoch); None if unknown."""
    if count is None or count.hour > hour + 1:
        return None
    if count.hour > hour:
        return count.before
    return count.used - count.base if count.hour == hour else 0


def most_sent(count: HourCount | None, now_ms: int, timely: Mapping[int, float]) -> float:
    """The larger of the DMs of the current hour and the one before; 0 if unknown.

    ``timely`` is the share of each hour's counted DMs that were sent in it: after an outage, Meta
    also delivers those of earlier hours.
    """
    hour = now_ms // HOUR_MS
    return max((sent_in(count, each) or 0) * timely.get(each, 0.0) for each in (hour, hour - 1))


def add_hours(sums: Counter[int], count: HourCount | None, times: int = 1) -> None:
    """Add the DMs of the hours that ``count`` knows, by hour; -1 times takes them out again."""
    if count is not None:
        sums[count.hour] += times * (count.used - count.base)
        sums[count.hour - 1] += times * (count.before or 0)


def hour_limit_reached_ms(sent: int | None, now_ms: int, limit: int) -> int | None:
    """When ``limit`` will be reached at the current hour's rate; None if it will not before the
    hour ends, or already was."""
    start = now_ms // HOUR_MS * HOUR_MS
    passed = now_ms - start
    if not sent or not 0 < sent < limit or passed < YOUNG_MS:
        return None
    reached = now_ms + (limit - sent) * passed // sent
    return reached if reached < start + HOUR_MS else None
