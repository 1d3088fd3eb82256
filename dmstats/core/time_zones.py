"""IANA time zones by name."""

from __future__ import annotations

import difflib
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

UTC = "UTC"
UTC_NAMES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal",
                       "Zulu", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "Etc/GMT", "Etc/GMT0",
                       "Etc/GMT+0", "Etc/GMT-0", "Etc/Greenwich"})  # fmt: skip
"""The names of zones whose days are UTC's."""


def zone_name(value: str) -> str:
    """``value`` if it names a time zone; ValueError with what is allowed and a near match."""
    if value in _names():
        return value
    near = _near(value)
    hint = f"; did you mean {near}?" if near else ""
    raise ValueError(f"an IANA time zone, for instance Europe/Berlin or UTC{hint}")


@lru_cache(maxsize=64)
def zone(name: str) -> ZoneInfo:
    """The zone of a name that :func:`zone_name` has accepted."""
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def _near(value: str) -> str | None:
    """The zone that was probably meant: the same name or city with different capitalisation."""
    wanted = value.strip().replace(" ", "_").casefold()[:100]
    by_text = {name.casefold(): name for name in sorted(_names())}
    cities: dict[str, str] = {}
    for text, name in by_text.items():
        cities.setdefault(text.rpartition("/")[2], name)
    for texts in (by_text, cities):
        if wanted in texts:
            return texts[wanted]
    for texts in (by_text, cities):
        if found := difflib.get_close_matches(wanted, texts, n=1, cutoff=0.75):
            return texts[found[0]]
    return None
