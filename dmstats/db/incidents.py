"""Incidents in ``dmstats_incidents``: when each began and ended, and which channels were
notified."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import msgspec
import pymongo

from dmstats.core.clock import DAY_MS, EpochMs, to_datetime
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import INCIDENTS

KEPT_MS = 400 * DAY_MS
SECONDS = 2.0
"""Longer, and the watchdog would be late with the news that MongoDB does not answer."""
MAX_PENDING = 1000
ID_DIGITS = 13


State = Annotated[str, msgspec.Meta(pattern="^(open|over)$")]


class Alert(msgspec.Struct):
    """A notification for one channel: of the beginning ("open") or the end ("over").

    Times are in ms since the epoch, 0 for never. ``due`` is the time of the next attempt.
    ``given_up`` alerts are not retried.
    """

    channel: str
    label: str
    state: State
    due: EpochMs
    told: EpochMs = 0
    attempts: int = 0
    problem: str = ""
    given_up: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return bool(self.told) or self.given_up


class IncidentRecord(msgspec.Struct):
    """One incident; ``since`` and ``ended`` are in ms since the epoch, ``ended`` is 0 if it is not
    over. Ids sort by ``since``."""

    id: str
    name: str
    text: str
    since: EpochMs
    ended: EpochMs = 0
    alerts: list[Alert] = []

    @property
    def finished(self) -> bool:
        """Whether the incident has ended and all channels were notified."""
        return bool(self.ended) and all(alert.settled for alert in self.alerts)


def record_id(since_ms: int, name: str) -> str:
    """The id of the incident ``name`` that began at ``since_ms``."""
    return f"{since_ms:0{ID_DIGITS}d}-{name}"


def merged(one: IncidentRecord, other: IncidentRecord) -> IncidentRecord:
    """Merge two copies of one record: everything that either of them records has happened."""
    alerts: dict[tuple[str, str], Alert] = {}
    for alert in one.alerts + other.alerts:
        known = alerts.get((alert.channel, alert.state))
        if known is None or _progress(alert) > _progress(known):
            alerts[alert.channel, alert.state] = alert
    return msgspec.structs.replace(
        one, ended=max(one.ended, other.ended), alerts=list(alerts.values())
    )


def _progress(alert: Alert) -> tuple[bool, bool, int]:
    return bool(alert.told), alert.given_up, alert.attempts


class IncidentStore:
    """Every method may raise :class:`~dmstats.core.errors.DmstatsError`. Documents that cannot be
    read are left out."""

    def __init__(self, mongo: Mongo) -> None:
        self._incidents = mongo.db[INCIDENTS]

    def save(self, record: IncidentRecord) -> None:
        """Write ``record``, over what is stored of it."""
        document = {
            "name": record.name,
            "text": record.text,
            "since": to_datetime(record.since),
            "ended": to_datetime(record.ended) if record.ended else None,
            "alerts": msgspec.to_builtins(record.alerts),
            "pending": not record.finished,
        }
        if record.ended:
            document["expiresAt"] = to_datetime(record.ended + KEPT_MS)
        with translated(), deadline(SECONDS):
            self._incidents.replace_one({"_id": record.id}, document, upsert=True)

    def pending(self) -> list[IncidentRecord]:
        """Those that are not finished, oldest first."""
        return self._find({"pending": True}, pymongo.ASCENDING, MAX_PENDING)

    def since(self, from_ms: int, limit: int) -> list[IncidentRecord]:
        """The newest ``limit`` of those open at ``from_ms`` or begun later, newest first."""
        recent = {"_id": {"$gte": f"{from_ms:0{ID_DIGITS}d}"}}
        older = {"ended": {"$gte": to_datetime(from_ms)}}
        return self._find(
            {"$or": [recent, older, {"pending": True, "ended": None}]}, pymongo.DESCENDING, limit
        )

    def begun(self, from_ms: int, to_ms: int, limit: int) -> list[IncidentRecord]:
        """The newest ``limit`` that began from ``from_ms`` up to, but not at, ``to_ms``, newest
        first."""
        first, last = (f"{ms:0{ID_DIGITS}d}" for ms in (from_ms, to_ms))
        return self._find({"_id": {"$gte": first, "$lt": last}}, pymongo.DESCENDING, limit)

    def one(self, incident_id: str) -> IncidentRecord | None:
        """The incident with that id."""
        found = self._find({"_id": incident_id}, pymongo.DESCENDING, 1)
        return found[0] if found else None

    def _find(self, wanted: Document, direction: int, limit: int) -> list[IncidentRecord]:
        with translated(), deadline(SECONDS):
            found = list(self._incidents.find(wanted).sort("_id", direction).limit(limit))
        return [record for record in map(_record, found) if record is not None]


def _record(found: Document) -> IncidentRecord | None:
    since, ended = (typed.own_moment(found.get(name)) for name in ("since", "ended"))
    fields = {
        "id": found.get("_id"),
        "name": typed.text(found.get("name")),
        "text": str(found["text"]) if typed.is_text(found.get("text")) else "",
        "since": since,
        "ended": ended or 0,
        "alerts": _alerts(found.get("alerts")),
    }
    try:
        return msgspec.convert(fields, IncidentRecord)
    except msgspec.ValidationError:
        return None


def _alerts(value: object) -> list[Alert]:
    """Those that can be read."""
    alerts = []
    for each in value if isinstance(value, list) else ():
        with suppress(msgspec.ValidationError):
            alerts.append(msgspec.convert(typed.json_ready(each), Alert))
    return alerts
