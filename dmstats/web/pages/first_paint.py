"""The first figures as texts, for the page itself: they are seen before any script has run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import format_decimal

COUNTS = {
    "today.sent": ("today", "sent"),
    "today.received": ("today", "received"),
    "month.sent": ("month", "sent"),
    "month.received": ("month", "received"),
    "total.sent": ("totalDMsSent",),
    "total.received": ("totalDMsReceived",),
    "accounts.active": ("activeAccounts",),
    "accounts.total": ("totalAccounts",),
    "users": ("totalUsers",),
}
"""The path in the snapshot of each plain count, by its name in the page's ``data-figure``."""
TENTHS_BELOW = 10
"""Rates below this are told to a tenth, as ``format.js`` does."""


def locale_of(languages: Iterable[str]) -> Locale:
    """The first of ``languages`` (tags as in Accept-Language) that is known, else English."""
    for tag in languages:
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en")


def first_figures(snapshot: Mapping[str, Any], locale: Locale) -> dict[str, str]:
    """The plain counts of ``snapshot`` and the rate, by figure, grouped as ``locale`` does.

    The digits are 0 to 9: Babel has no others. What another release's snapshot does not have is
    left out.
    """
    figures = {name: _at(snapshot, path) for name, path in COUNTS.items()}
    if isinstance(rate := snapshot.get("perMinute"), int | float):
        figures["now.rate"] = round(rate, 1 if rate < TENTHS_BELOW else None)
    return {
        name: format_decimal(figure, locale=locale)
        for name, figure in figures.items()
        if isinstance(figure, int | float)
    }


def is_empty(snapshot: Mapping[str, Any]) -> bool:
    """Whether nothing was ever counted; as ``figures.js`` decides."""
    counts = (snapshot.get("totalDMsSent"), snapshot.get("totalDMsReceived"))
    return counts == (0, 0) and not snapshot.get("lastEventAt")


def _at(value: Any, path: Iterable[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
