"""The rules for an account's states; pure, and time is a parameter.

Each rule prefers a missed state to a false alarm.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from dmstats.core.clock import (
    DAY_MS,
    HOUR_MS,
    month_of,
    month_start,
    next_month_start,
    to_datetime,
    to_ms,
)
from dmstats.db.documents import Account, limit_of
from dmstats.db.states.rhythms import Rhythm
from dmstats.db.states.state_record import AccountState, HourCount, State

NEAR_SHARE = 0.8
NEW_MS = 7 * DAY_MS
AROUND_THE_CLOCK_HOURS = 6
"""A longer usual pause is a night or a weekend, so the account follows people's working days, and a
holiday may add a day to it."""
HOLIDAY_MS = 30 * HOUR_MS
SURGE_TIMES = 3
SURGE_LEAST = 100
"""With fewer DMs in a day an account is never unusually active."""
RHYTHM_FRESH_MS = 6 * HOUR_MS
"""The last 24 hours cannot be computed from an older audit."""
SETTLED_MS = 10 * 60_000
"""DMs in transit when an account was deactivated may arrive this much later."""
STILL_SENDING_MS = DAY_MS
YOUNG_MS = HOUR_MS
"""A younger month or account is not used for a projection."""
AHEAD_MS = HOUR_MS
"""How far the clocks of the platform and of Meta may be ahead; later times are ignored."""
PASSING = {
    State.OVER_HOUR_LIMIT,
    State.NEAR_HOUR_LIMIT,
    State.SURGING,
    State.INACTIVE_SENDING,
    State.NEEDS_ATTENTION,
}
"""These may end without a change of the account's document."""
NEVER_MS = 2**62
NEVER, ALWAYS = 2**63 - 1, -(2**63)
"""Beyond each counter that is read, or at its end."""
SHORTEST_PAUSE_MS = 15 * HOUR_MS
"""No account is silent earlier; see :func:`longest_pause_ms`."""


def state_of(
    account: Account,
    rhythm: Rhythm | None,
    now_ms: int,
    *,
    monthly_limit: int = 0,
    refused: bool = False,
    inactive_since_ms: int | None = None,
    hour: HourCount | None = None,
    hour_share: float = 0.0,
) -> AccountState:
    """The account's states at ``now_ms``, and the values by which lists are sorted and filtered.

    ``monthly_limit`` applies to accounts without their own limit; 0 for none. ``refused``: its
    document cannot be updated. ``inactive_since_ms`` is when it was first seen inactive, None if it
    was not. ``hour_share`` is the used part of the hourly limit; it is computed from ``hour``.
    """
    limit, month = limit_of(account, monthly_limit), _running_month(now_ms)
    used = account.used_in(month)
    share = _share(used, limit)
    since = None if account.is_active else (inactive_since_ms or now_ms)
    earlier = _earlier_month(account, month)
    checks = {
        State.OVER_LIMIT: share is not None and share >= 1,
        State.NEAR_LIMIT: share is not None and NEAR_SHARE <= share < 1,
        State.OVER_HOUR_LIMIT: hour_share >= 1,
        State.NEAR_HOUR_LIMIT: NEAR_SHARE <= hour_share < 1,
        State.SILENT: is_silent(account, rhythm, now_ms),
        State.SURGING: is_surging(account, rhythm, now_ms),
        State.INACTIVE_SENDING: since is not None and _sends(account, since, now_ms),
        State.NEEDS_ATTENTION: refused or bool(account.odd),
        State.NEW: _is_recent(account.created_ms, NEW_MS, now_ms),
    }
    found = tuple(state for state, holds in checks.items() if holds)
    return AccountState(
        account=account.instagram_id,
        states=found,
        username=account.username,
        active=account.is_active,
        limited=limit is not None,
        month=earlier or month,
        month_sent=account.monthly_dm_used if earlier else used,
        share=share,
        sent=account.dm_used,
        received=account.dm_received,
        last_sent_ms=account.last_sent_ms,
        created_ms=account.created_ms,
        inactive_since_ms=since,
        hour=hour,
    )


def until_ms(
    account: Account, rhythm: Rhythm | None, states: Collection[State], now_ms: int
) -> int:
    """When the states expire if the account's document does not change; 0 if that is unknown.

    They also expire at the end of the month, with the next audit, and in an hour with many DMs.
    """
    times = (account.last_sent_ms or 0, account.created_ms or 0)
    if not PASSING.isdisjoint(states) or max(times) > now_ms:
        return 0
    ends = [NEVER_MS]
    if State.NEW in states and account.created_ms is not None:
        ends.append(account.created_ms + NEW_MS)
    if State.SILENT not in states and rhythm and rhythm.pause_hours and account.last_sent_ms:
        ends.append(account.last_sent_ms + longest_pause_ms(rhythm.pause_hours))
    return min(ends)


def is_silent(account: Account, rhythm: Rhythm | None, now_ms: int) -> bool:
    """Whether an active account has sent nothing for much longer than its usual pause."""
    if rhythm is None or not rhythm.pause_hours or not account.is_active:
        return False
    if account.last_sent_ms is None:
        return False
    return now_ms - account.last_sent_ms > longest_pause_ms(rhythm.pause_hours)


def longest_pause_ms(usual_hours: int) -> int:
    """How long an account may pause whose usual pause is ``usual_hours``."""
    if usual_hours < AROUND_THE_CLOCK_HOURS:
        return (3 * usual_hours + 12) * HOUR_MS
    return usual_hours * HOUR_MS * 5 // 4 + HOLIDAY_MS


def is_surging(account: Account, rhythm: Rhythm | None, now_ms: int) -> bool:
    """Whether it has sent several times as many DMs in 24 hours as on a busy day."""
    if rhythm is None or account.dm_used is None or now_ms > surges_until_ms(rhythm.hour):
        return False
    return account.dm_used >= (at := surge_at(rhythm)) and at != NEVER


def surges_until_ms(hour: int) -> int:
    """Until when an account may be unusually active by a rhythm of this hour."""
    return hour * HOUR_MS + RHYTHM_FRESH_MS


def surge_at(rhythm: Rhythm | None) -> int:
    """From which ``dmUsed`` on the account is unusually active; :data:`NEVER` if at none."""
    if rhythm is None or not rhythm.busy_day or rhythm.used is None:
        return NEVER
    missing = max(SURGE_LEAST, SURGE_TIMES * rhythm.busy_day + 1) - rhythm.recent
    return min(NEVER, rhythm.used + missing) if missing > 0 else ALWAYS


def surge_rhythm(at: int, hour: int) -> Rhythm | None:
    """A rhythm of which only that is known: its :func:`surge_at`. It has no usual pause."""
    if at in (NEVER, ALWAYS):
        return None if at == NEVER else Rhythm(hour, (), 0, 1, SURGE_LEAST, 0)
    return Rhythm(hour, (), 0, 1, 0, at - SURGE_LEAST)


def limit_reached_ms(account: Account, now_ms: int, monthly_limit: int) -> int | None:
    """When the account will reach its monthly limit at this month's rate; None if it will not
    before the month ends, or already has."""
    limit, used = limit_of(account, monthly_limit), account.used_in(month_of(now_ms))
    month = month_start(to_datetime(now_ms))
    passed = now_ms - max(to_ms(month), account.created_ms or 0)
    if not limit or not used or not 0 < used < limit or passed < YOUNG_MS:
        return None
    reached = now_ms + (limit - used) * passed // used
    return reached if reached < to_ms(next_month_start(month)) else None


def _share(used: int | None, limit: int | None) -> float | None:
    """The used part of a limit; a limit of 0 is used up from the start. None if unknown."""
    if limit is None or used is None or limit < 0:
        return None
    return used / limit if limit else 1.0 + used


def _sends(account: Account, inactive_since_ms: int, now_ms: int) -> bool:
    last = account.last_sent_ms
    is_later = last is not None and last > inactive_since_ms + SETTLED_MS
    return is_later and _is_recent(last, STILL_SENDING_MS, now_ms)


def _is_recent(at_ms: int | None, within_ms: int, now_ms: int) -> bool:
    return at_ms is not None and -AHEAD_MS <= now_ms - at_ms < within_ms


_running_month = lru_cache(maxsize=1)(month_of)
"""A pass asks for the same moment many times."""


def _earlier_month(account: Account, month: str) -> str | None:
    """The month of the account's counter, if it is not this one: it has not sent since."""
    own = None if "currentMonth" in account.odd else account.current_month
    return own if own is not None and own < month else None
