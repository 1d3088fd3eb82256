"""The activity log: who did what, as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import DAY_MS, rfc3339
from dmstats.core.errors import BadRequest
from dmstats.core.spreadsheet_text import spreadsheet_text
from dmstats.db.admins.activity_log import LogEntry, LogFilter, Place
from dmstats.web import services
from dmstats.web.schema.activity_log_schemas import ActivityLogAnswer, ActivityLogQuery
from dmstats.web.schema.validation import parameters

blueprint = Blueprint("activity_log", __name__, url_prefix="/api/admin/activity-log")

MAX_ROWS = 10_000
"""The newest that one CSV file holds."""

EPOCH_DAY = date(1970, 1, 1)
COLUMNS = ("at", "event", "actorKind", "actor", "from", "target", "details")


@blueprint.get("")
def entries() -> ResponseReturnValue:
    """A page of the log, the newest entries first; or as CSV the newest 10,000."""
    asked = parameters(ActivityLogQuery, request)
    wanted, log = filter_of(asked), services().activity_log
    if asked["format"] == "csv":
        found, _ = log.page(wanted, limit=MAX_ROWS, after=place_in(asked["cursor"]))
        response = Response(_csv(found), mimetype="text/csv")
        name = f"dmstats-activity-{rfc3339(services().clock.now_ms())[:10]}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    else:
        found, after = log.page(wanted, limit=asked["limit"], after=place_in(asked["cursor"]))
        answer = {"entries": [_fields(entry) for entry in found], "nextCursor": cursor_of(after)}
        response = jsonify(ActivityLogAnswer().dump(answer))
    response.headers["Cache-Control"] = "no-store"
    return response


def filter_of(asked: Mapping[str, Any]) -> LogFilter:
    """The filter that a validated query asks for; days are in UTC, both included."""
    since, until = asked["since"], asked["until"]
    if since is not None and until is not None and until < since:
        raise BadRequest("until: must not be before since.")
    after_until = None if until in (None, date.max) else _start(until + timedelta(days=1))
    return LogFilter(
        asked["event"],
        asked["who"].strip().casefold(),
        None if since is None else _start(since),
        after_until,
    )


def cursor_of(place: Place | None) -> str | None:
    """``place`` as a client sends it back."""
    return None if place is None else f"{place[0]}-{place[1]}"


def place_in(cursor: str | None) -> Place | None:
    """The place in ``cursor``, as its schema has validated it."""
    if not cursor:
        return None
    at_ms, _, key = cursor.partition("-")
    return int(at_ms), key


def _start(day: date) -> int:
    """The start of ``day`` in UTC, in ms since the epoch."""
    return (day - EPOCH_DAY).days * DAY_MS


def _fields(entry: LogEntry) -> dict[str, str]:
    return {
        "at": rfc3339(entry.at_ms),
        "event": entry.event,
        "actorKind": entry.actor.kind.value,
        "actor": entry.actor.name,
        "from": entry.actor.origin,
        "target": entry.target,
        "details": entry.details,
    }


def _csv(found: Sequence[LogEntry]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in found:
        writer.writerow([spreadsheet_text(value) for value in _fields(entry).values()])
    return text.getvalue().encode("utf-8-sig")
