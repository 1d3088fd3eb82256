"""The parts of a snapshot that a shared link shows; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from dmstats.db.admins.shared_links import Part

ALWAYS = frozenset({
    "version", "computedAt", "timeZone", "ageSeconds", "stale", "source", "since",
})  # fmt: skip
FIELDS: Mapping[Part, frozenset[str]] = {
    Part.MESSAGES: frozenset({
        "totalDMsSent", "totalDMsReceived", "month", "today", "lastHour", "perMinute",
        "perMinuteBefore", "peakMinute", "series",
    }),
    Part.PEOPLE: frozenset({"totalUsers", "totalAccounts", "activeAccounts", "population"}),
    Part.EVENTS: frozenset({"events"}),
    Part.QUALITY: frozenset({"duplicates", "rejected", "late", "audit", "canary", "lastEventAt"}),
    Part.ACCOUNTS: frozenset({"topAccounts"}),
}  # fmt: skip
"""The snapshot's fields of each part. A field that is in none is not shown."""


class Figures(Protocol):
    """An encoded snapshot."""

    @property
    def version(self) -> str: ...

    @property
    def order(self) -> tuple[int, int]: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SharedFigures:
    """What is left of a snapshot, encoded; ``order`` is its version as a comparable tuple."""

    version: str
    order: tuple[int, int]
    body: bytes


def shared_figures(figures: Figures, parts: Collection[str]) -> SharedFigures:
    """``figures`` with the fields of ``parts`` only."""
    shown = shared_fields(msgspec.json.decode(figures.body), parts)
    return SharedFigures(figures.version, figures.order, msgspec.json.encode(shown))


def shared_fields(snapshot: Mapping[str, Any], parts: Collection[str]) -> dict[str, Any]:
    """The fields of ``snapshot`` that ``parts`` have."""
    fields = ALWAYS.union(*(FIELDS[part] for part in Part if part.value in parts))
    return {name: value for name, value in snapshot.items() if name in fields}
