"""The incidents of the last 90 days, and a test of the alerts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from dmstats.core.clock import DAY_MS, rfc3339
from dmstats.core.errors import NotFound, TooManyRequests
from dmstats.db.incidents import Alert, IncidentRecord
from dmstats.ops.alerts import send_test
from dmstats.ops.runbooks import runbook_of
from dmstats.web import services
from dmstats.web.schema.incident_schemas import AlertTestAnswer, IncidentAnswer, IncidentsAnswer

blueprint = Blueprint("incidents", __name__, url_prefix="/api/admin")

DAYS = 90
MAX_INCIDENTS = 500
_testing = threading.Lock()


@blueprint.get("/incidents")
def incidents() -> ResponseReturnValue:
    """The incidents of the last 90 days, newest first."""
    since = services().clock.now_ms() - DAYS * DAY_MS
    found = services().incidents.since(since, MAX_INCIDENTS + 1)
    answer = {
        "since": rfc3339(since),
        "incidents": [incident_fields(record) for record in found[:MAX_INCIDENTS]],
        "complete": len(found) <= MAX_INCIDENTS,
        "channels": [channel.label for channel in services().channels.current()],
    }
    return jsonify(IncidentsAnswer().dump(answer))


@blueprint.get("/incidents/<incident_id>")
def incident(incident_id: str) -> ResponseReturnValue:
    """One incident, with its runbook."""
    record = services().incidents.one(incident_id)
    if record is None:
        raise NotFound("This incident does not exist.")
    book = runbook_of(record.name)
    runbook = {"steps": list(book.steps), "section": book.section}
    return jsonify(IncidentAnswer().dump({**incident_fields(record), "runbook": runbook}))


@blueprint.post("/alerts/test")
def test_alert() -> ResponseReturnValue:
    """Send a test alert to every channel, and report which succeeded."""
    with one_test():
        told = send_test(services().channels.current(), services().clock.now_ms())
    channels = [
        {"channel": channel.label, "told": outcome.told, "problem": outcome.problem or None}
        for channel, outcome in told
    ]
    return jsonify(AlertTestAnswer().dump({"channels": channels}))


@contextmanager
def one_test() -> Iterator[None]:
    """One at a time in this process, since each channel may take a process and seconds. Raises
    :class:`TooManyRequests`."""
    if not _testing.acquire(blocking=False):
        raise TooManyRequests("Another test is running.", retry_after=5)
    try:
        yield
    finally:
        _testing.release()


def incident_fields(record: IncidentRecord) -> dict[str, Any]:
    """An incident as it is shown."""
    return {
        **{name: getattr(record, name) for name in ("id", "name", "text")},
        "title": runbook_of(record.name).title,
        "beganAt": rfc3339(record.since),
        "endedAt": rfc3339(record.ended) if record.ended else None,
        "alerts": [_alert_fields(alert) for alert in record.alerts],
    }


def _alert_fields(alert: Alert) -> dict[str, Any]:
    return {
        "channel": alert.label,
        "state": alert.state,
        "toldAt": rfc3339(alert.told) if alert.told else None,
        "nextAt": None if alert.settled else rfc3339(alert.due),
        "attempts": alert.attempts,
        "problem": alert.problem or None,
    }
