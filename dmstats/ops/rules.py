"""Decides whether the rules that admins made are met, from a snapshot and the last hours; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dmstats.core.clock import MINUTE_MS
from dmstats.db.alerting import ABOVE, Rule
from dmstats.ops.incidents import RULE, Incident

HOUR_MINUTES = 60
LEFT_OUT = ("series", "topAccounts", "population", "refresh", "ageSeconds")
"""What is no figure of a snapshot, or one of the service itself."""


class LastHour(NamedTuple):
    """A full hour: what it had, and from where to where was expected; None if that is unknown."""

    value: int
    low: int | None
    high: int | None


def incident_name(rule: Rule) -> str:
    """The name of the incident of ``rule``."""
    return f"{RULE}-{rule.id}"


def figures_of(snapshot: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a snapshot, by their path such as "today.sent"."""
    return dict(_numbers({key: snapshot[key] for key in snapshot if key not in LEFT_OUT}, ""))


def _numbers(value: object, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def since_when(rule: Rule, value: float, computed_ms: int) -> int:
    """Since when (ms) the rule's condition holds, of a snapshot with ``value``; 0: it does not."""
    holds = value > rule.threshold if rule.sense == ABOVE else value < rule.threshold
    return (rule.since or computed_ms) if holds else 0


def passed(rule: Rule, value: float, since_ms: int, computed_ms: int) -> Incident | None:
    """The incident once it holds for long enough."""
    if not since_ms or computed_ms - since_ms < rule.minutes * MINUTE_MS:
        return None
    lasted = f" for {rule.minutes} minutes" if rule.minutes else ""
    return Incident(
        incident_name(rule),
        f"{rule.figure} is {value:,.12g}, {rule.sense} {rule.threshold:,.12g}{lasted}.",
    )


def hours_of(rule: Rule) -> int:
    """How many full hours must be outside of what is expected."""
    return max(1, rule.minutes // HOUR_MINUTES)


def unexpected(rule: Rule, hours: Sequence[LastHour]) -> Incident | None:
    """The incident if each of the last ``hours`` is outside of what was expected of it."""
    if not hours or not all(_is_outside(hour) for hour in hours):
        return None
    last = hours[-1]
    span = "the last full hour" if len(hours) == 1 else f"the last {len(hours)} full hours"
    had = f"{last.value:,} in the last one; {last.low:,} to {last.high:,} are usual"
    name = rule.figure.capitalize()
    return Incident(
        incident_name(rule), f"{name} DMs of {span} are outside the expected range: {had}."
    )


def _is_outside(hour: LastHour) -> bool:
    if hour.low is None or hour.high is None:
        return False
    return not hour.low <= hour.value <= hour.high
