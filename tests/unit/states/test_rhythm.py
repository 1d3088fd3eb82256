"""Rhythms and states over made-up weeks, with a clock that moves hour by hour."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, month_of, to_datetime, to_ms
from dmstats.db.audit.activity_store import AccountActivity
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythm
from dmstats.db.states.state_record import State
from dmstats.states.rhythm import DAYS, rhythm_of, rhythms_of
from dmstats.states.rules import longest_pause_ms, state_of

START = to_ms(datetime(2026, 3, 2, tzinfo=UTC))
"""A Monday."""
LEDGER_DAYS = 8
"""The days that the ledger has rows of, today included."""

Sends = Callable[[datetime], int]
"""The DMs of the hour that begins then."""


class Moment(NamedTuple):
    at_ms: int
    rhythm: Rhythm | None
    states: tuple[State, ...]


def office(at: datetime) -> int:
    """Five days a week, by day."""
    return 6 if at.weekday() < 5 and 8 <= at.hour < 18 else 0


def shop(at: datetime) -> int:
    """Every day, not by night."""
    return (8 if at.weekday() < 5 else 3) if 9 <= at.hour < 21 else 0


def bot(at: datetime) -> int:
    """Around the clock, less by night and at weekends."""
    busy = 40 if 7 <= at.hour < 22 else 4
    return busy // 2 if at.weekday() >= 5 else busy


def irregular(at: datetime) -> int:
    """By day, with hours in which no one writes by chance."""
    chance = random.Random(at.timestamp())
    return chance.choice([0, 0, 1, 3]) if 7 <= at.hour < 23 else 0


def now_and_then(at: datetime) -> int:
    """One day in four."""
    chance = random.Random(at.date().toordinal())
    return 5 if chance.random() < 0.25 and at.hour == 12 else 0


def on_holiday(sends: Sends, *days: tuple[int, int]) -> Sends:
    """People's accounts are closed on these days, and a bot has a tenth of its usual to answer."""

    def found(at: datetime) -> int:
        if (at.month, at.day) not in days:
            return sends(at)
        chance = random.Random(at.timestamp())
        return sum(chance.random() < 0.1 for _ in range(sends(at))) if sends is bot else 0

    return found


def weeks(sends: Sends, number: int, *, audit_hours: int = 1) -> Iterator[Moment]:
    """What is known of an account at the end of each hour; an audit ends every ``audit_hours``."""
    counts = [0] * (LEDGER_DAYS - 1) * 24
    rhythm: Rhythm | None = None
    used, last = 0, None
    for hour in range(START, START + number * 7 * DAY_MS, HOUR_MS):
        sent = sends(to_datetime(hour))
        counts.append(sent)
        used += sent
        last = hour + HOUR_MS // 2 if sent else last
        if hour // HOUR_MS % audit_hours == 0:
            rhythm = rhythm_of(activity(counts, hour), rhythm, hour, used)
        now = hour + HOUR_MS - 1
        account = Account(
            instagram_id="1", created_ms=START - 400 * DAY_MS, dm_used=used, last_sent_ms=last,
            current_month=month_of(now),
        )  # fmt: skip
        yield Moment(now, rhythm, state_of(account, rhythm, now).states)


def activity(counts: list[int], hour: int) -> AccountActivity:
    """As an audit counts it from the rows of the last days. The last of ``counts`` is of ``hour``,
    each before it of the hour before."""
    today = (hour - day_start(hour)) // HOUR_MS + 1
    hours = counts[-today - (LEDGER_DAYS - 1) * 24 :]
    days = [sum(hours[place : place + 24]) for place in range(0, len(hours), 24)]
    return AccountActivity(hours, [0] * len(hours), days, [0] * len(days))


HOLIDAYS = {
    "none": (),
    "a Monday": ((4, 6),),
    "a Wednesday": ((4, 8),),
    "a Friday": ((4, 3),),
    "one in the second week": ((3, 11),),
}


@pytest.mark.parametrize("sends", [office, shop, bot, irregular, now_and_then])
@pytest.mark.parametrize("holiday", HOLIDAYS)
@pytest.mark.parametrize("audit_hours", [1, 5])
def test_usual_weeks_raise_nothing(sends: Sends, holiday: str, audit_hours: int) -> None:
    whole = on_holiday(sends, *HOLIDAYS[holiday])
    raised = [
        (to_datetime(moment.at_ms), moment.states)
        for moment in weeks(whole, 8, audit_hours=audit_hours)
        if moment.states
    ]
    assert raised == []


@pytest.mark.parametrize(
    ("sends", "within_hours"), [(office, 120), (shop, 48), (bot, 16), (irregular, 48)]
)
def test_an_account_that_stops_is_silent_until_it_sends_again(
    sends: Sends, within_hours: int
) -> None:
    stopped, again = datetime(2026, 4, 14, 12, tzinfo=UTC), datetime(2026, 4, 23, 12, tzinfo=UTC)
    silent = [
        to_datetime(moment.at_ms)
        for moment in weeks(lambda at: 0 if stopped <= at < again else sends(at), 8)
        if State.SILENT in moment.states
    ]
    assert (silent[0] - stopped).total_seconds() / 3600 <= within_hours
    assert again.timestamp() - 3600 <= silent[-1].timestamp() < again.timestamp() + 6 * 3600
    # It stays silent in between, although the ledger has forgotten when it last sent.
    assert len(silent) == (silent[-1] - silent[0]).total_seconds() // 3600 + 1


def test_one_long_silence_does_not_make_the_next_one_usual() -> None:
    def sends(at: datetime) -> int:
        day = at.month, at.day
        return 0 if day >= (4, 20) or (4, 6) <= day < (4, 10) else bot(at)

    silent = [each for each in weeks(sends, 8) if State.SILENT in each.states]
    first = next(each for each in silent if to_datetime(each.at_ms).day >= 20)
    assert to_datetime(first.at_ms) < datetime(2026, 4, 20, 16, tzinfo=UTC)


def test_a_silence_is_forgotten_with_the_days_before_it() -> None:
    last = [*weeks(lambda at: bot(at) if at.month == 3 else 0, 11)][-1]
    assert last.rhythm is None
    assert last.states == ()


def test_an_account_that_sends_far_more_than_usual() -> None:
    def sends(at: datetime) -> int:
        return 3000 if (at.month, at.day, at.hour) == (4, 15, 10) else bot(at)

    surging = [each for each in weeks(sends, 8, audit_hours=3) if each.states == (State.SURGING,)]
    # From the hour itself, before an audit has seen it, until a day later.
    assert to_datetime(surging[0].at_ms).hour == 10
    assert 23 <= len(surging) <= 28


def test_a_small_account_is_never_far_above() -> None:
    busy = weeks(
        lambda at: 9 * (at.hour == 12) if (at.month, at.day) == (4, 15) else int(at.hour == 12), 8
    )
    assert all(not each.states for each in busy)


def test_the_first_two_weeks_have_no_rhythm() -> None:
    found = {each.at_ms: each.rhythm for each in weeks(bot, 3)}
    known = [at for at, rhythm in found.items() if rhythm and rhythm.pause_hours]
    assert to_datetime(known[0]) >= datetime(2026, 3, 16, tzinfo=UTC)


def test_pauses_around_the_clock_and_by_people() -> None:
    assert longest_pause_ms(1) == 15 * HOUR_MS
    assert longest_pause_ms(12) == 45 * HOUR_MS
    lengths = [longest_pause_ms(hours) for hours in range(1, 200)]
    assert lengths == sorted(lengths)


def test_rhythms_go_on_without_activity_and_end_with_the_account() -> None:
    before = Rhythm(START // HOUR_MS, (5, 6, 7))
    last = START + 10 * DAY_MS
    asked = {"hour_ms": last, "hours": 24, "days": 8}
    found = rhythms_of({}, {"a": before, "gone": before}, {"a": 18}, **asked)
    assert found["a"].days == (5, 6, 7, *[0] * 10)
    assert found["a"].used == 18
    assert found.keys() == {"a"}
    assert rhythms_of({}, found, {"a": 18}, **asked | {"hour_ms": last + DAYS * DAY_MS}) == {}
