"""The history: counted DMs of any range, by minute, hour, day, week or month."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import to_ms
from dmstats.core.errors import Forbidden, NotFound, Unavailable
from dmstats.core.time_zones import zone
from dmstats.db.audit.account_days import AccountDays
from dmstats.db.audit.activity_store import Activities
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.history.account import AccountRequest, account_history
from dmstats.history.calendar import Calendar
from dmstats.history.export import as_csv, file_name
from dmstats.history.series import History
from dmstats.history.service import HistoryRequest
from dmstats.web import services
from dmstats.web.api.notes import annotation_fields
from dmstats.web.auth.access import may
from dmstats.web.schema.history_schemas import AccountHistoryQuery, HistoryQuery
from dmstats.web.schema.validation import parameters

FIRST_AUDIT_SECONDS = 60
"""When to ask again while the first audit runs."""

blueprint = Blueprint("history", __name__, url_prefix="/api/admin")


@blueprint.get("/history")
def history() -> ResponseReturnValue:
    """The DMs of a range as JSON or CSV, or 304 for a client that has them already."""
    asked = parameters(HistoryQuery, request)
    calendar = Calendar(zone(asked["tz"] or services().settings.time_zone), asked["weekStart"])
    question = HistoryRequest(
        calendar, asked["range"], asked["from_"], asked["to"], asked["unit"], asked["compare"],
        asked["band"],
    )  # fmt: skip
    answer = services().histories.answer(question)
    tag = f"{answer.tag}-{asked['format']}"
    if asked["annotations"]:
        response = _response(_annotated(answer.decoded()), asked["format"])
        tag = hashlib.blake2b(response.get_data(), digest_size=12).hexdigest()
    elif request.if_none_match.contains_weak(tag):
        response = Response(status=304)
    elif asked["format"] == "csv":
        response = _csv(answer.decoded())
    else:
        response = Response(answer.body, mimetype="application/json")
        # The name for a client that saves it; a browser shows it.
        _name(response, "inline", answer.file_name)
    response.set_etag(tag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.get("/accounts/<instagram_id>/history")
def account_history_of(instagram_id: str) -> ResponseReturnValue:
    """The DMs of one account in a range, as of the last audit."""
    asked = parameters(AccountHistoryQuery, request)
    if asked["annotations"] and not may("GET /api/admin/annotations"):
        raise Forbidden("annotations: this token does not have the scope read-figures.")
    if AccountDirectory(services().mongo).one(instagram_id) is None:
        raise NotFound("There is no account with this Instagram id.")
    activity = Activities(services().mongo).of(instagram_id)
    if activity is None:
        raise Unavailable("No audit has finished yet.", retry_after=FIRST_AUDIT_SECONDS)
    question = AccountRequest(
        instagram_id, asked["weekStart"], asked["range"], asked["from_"], asked["to"],
        asked["unit"], asked["compare"], asked["band"],
    )  # fmt: skip
    found = account_history(
        question, activity, AccountDays(services().mongo),
        days_kept=services().settings.account_days_kept,
    )  # fmt: skip
    if asked["annotations"]:
        found = _annotated(found)
    response = _response(found, asked["format"], instagram_id)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _annotated(found: History) -> History:
    """Not cached with the history: a note that was just written is in it."""
    first, last = (to_ms(datetime.fromisoformat(found["range"][name])) for name in ("from", "to"))
    annotations, _ = services().annotations.between(first, last)
    return {**found, "annotations": [annotation_fields(each) for each in annotations]}


def _response(found: History, kind: str, account: str | None = None) -> Response:
    if kind == "csv":
        return _csv(found, account)
    response = Response(msgspec.json.encode(found), mimetype="application/json")
    _name(response, "inline", file_name(found, "json", account))
    return response


def _csv(found: History, account: str | None = None) -> Response:
    response = Response(as_csv(found), mimetype="text/csv")
    _name(response, "attachment", file_name(found, "csv", account))
    return response


def _name(response: Response, how: str, name: str) -> None:
    response.headers["Content-Disposition"] = f'{how}; filename="{name}"'
