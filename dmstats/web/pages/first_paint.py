"""Formats the figures that the server renders into the page, visible before any script runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeGuard

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
"""Rates below this are shown with one decimal, as in ``format.js``."""
LONG = 10_000_000
MAX_SAFE_INTEGER = 2**53
"""Larger numbers are not exact in a browser, and the page shows "unknown"."""
UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"))


class Figure(NamedTuple):
    """The displayed text, and the exact number if ``text`` is abbreviated."""

    text: str
    exact: str | None = None


def figure_texts(snapshot: Mapping[str, Any]) -> dict[str, Figure]:
    """The plain counts of ``snapshot`` and the rate, by figure, as ``format.js`` writes them.

    Fields that are missing (in another release's snapshot) or not numbers are omitted.
    """
    figures = {name: _at(snapshot, path) for name, path in COUNTS.items()}
    rate = snapshot.get("perMinute")
    if _is_number(rate):
        figures["now.rate"] = round(rate, 1) if abs(rate) < TENTHS_BELOW else rate
    return {name: _figure(figure) for name, figure in figures.items() if _is_number(figure)}


def _figure(number: float) -> Figure:
    """Exact below ten million, else four digits and a unit; truncated, so that it never exceeds
    the count."""
    rounded = round(number, 1 if abs(number) < TENTHS_BELOW else None)
    exact = f"{rounded:,}".removesuffix(".0").replace("-", "\u2212")
    if abs(number) < LONG:
        return Figure(exact)
    size, name = next(unit for unit in UNITS if abs(number) >= unit[0])
    places = max(0, 4 - len(str(int(abs(number)) // size)))
    cut = int(abs(number)) // (size // 10**places)
    whole, rest = divmod(cut, 10**places)
    sign = "\u2212" if number < 0 else ""
    return Figure(f"{sign}{whole}{f'.{rest:0{places}}' if places else ''}{name}", exact)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and abs(value) <= MAX_SAFE_INTEGER


def is_empty(snapshot: Mapping[str, Any]) -> bool:
    """Whether nothing was ever counted; as ``figures.js`` decides."""
    counts = (snapshot.get("totalDMsSent"), snapshot.get("totalDMsReceived"))
    return counts == (0, 0) and not snapshot.get("lastEventAt")


def _at(value: Any, path: Iterable[str]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
