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


def glance(snapshot: Mapping[str, Any], locale: Locale) -> dict[str, str]:
    """The plain counts of ``snapshot`` and the rate, in ``locale``'s digits, by figure."""
    texts = {}
    for name, path in COUNTS.items():
        value: Any = snapshot
        for key in path:
            value = value[key]
        texts[name] = format_decimal(value, locale=locale)
    rate = snapshot["perMinute"]
    shown = round(rate, 1) if rate < TENTHS_BELOW else round(rate)
    texts["now.rate"] = format_decimal(shown, locale=locale)
    return texts


def is_empty(snapshot: Mapping[str, Any]) -> bool:
    """Whether nothing was ever counted; as ``figures.js`` decides."""
    counted = snapshot["totalDMsSent"] + snapshot["totalDMsReceived"]
    return not snapshot["lastEventAt"] and counted == 0
