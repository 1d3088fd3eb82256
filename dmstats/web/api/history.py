"""The history: counted DMs of any range, by minute, hour, day, week or month."""

from __future__ import annotations

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from dmstats.core.time_zones import zone
from dmstats.history.calendar import Calendar
from dmstats.history.export import as_csv, file_name
from dmstats.history.service import HistoryRequest, HistoryResponse
from dmstats.web import services
from dmstats.web.schema.history_schemas import HistoryQuery
from dmstats.web.schema.validation import parameters

blueprint = Blueprint("history", __name__, url_prefix="/api/admin")


@blueprint.get("/history")
def history() -> ResponseReturnValue:
    """The DMs of a range as JSON or CSV, or 304 for a client that has them already."""
    asked = parameters(HistoryQuery(), request)
    calendar = Calendar(zone(asked["tz"] or services().settings.time_zone), asked["weekStart"])
    question = HistoryRequest(
        calendar, asked["range"], asked["from_"], asked["to"], asked["unit"], asked["compare"]
    )
    answer = services().histories.answer(question)
    tag = f"{answer.tag}-{asked['format']}"
    if request.if_none_match.contains_weak(tag):
        response = Response(status=304)
    elif asked["format"] == "csv":
        response = _csv(answer)
    else:
        response = Response(answer.body, mimetype="application/json")
        # The name for a client that saves it; a browser shows it.
        name = file_name(answer.decoded(), "json")
        response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _csv(answer: HistoryResponse) -> Response:
    found = answer.decoded()
    response = Response(as_csv(found), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name(found, "csv")}"'
    return response
