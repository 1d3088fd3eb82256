"""The page of the activity log, made on the server: it needs no script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from marshmallow import EXCLUDE

from dmstats.core.clock import rfc3339
from dmstats.core.errors import BadRequest, StoreUnavailable
from dmstats.db.admins.activity_log import WORDS, LogEntry
from dmstats.web import services
from dmstats.web.api.activity_log import cursor_of, filter_of, place_in
from dmstats.web.auth.authenticator import reader_name
from dmstats.web.schema.activity_log_schemas import ActivityLogQuery
from dmstats.web.schema.validation import check

FILTERS = ("event", "who", "since", "until")


def register_activity_log(pages: Blueprint) -> None:
    """Add the page to ``pages``."""
    pages.add_url_rule("/activity-log", "activity_log", _activity_log)


def _activity_log() -> ResponseReturnValue:
    """The activity log: filters, and a page of entries."""
    # An empty field of the form is no filter.
    sent = {name: value for name, value in request.args.items() if value}
    status, problem, entries, older = 200, None, [], None
    try:
        asked = check(ActivityLogQuery(unknown=EXCLUDE), sent)
        found, after = services().activity_log.page(
            filter_of(asked), limit=asked["limit"], after=place_in(asked["cursor"])
        )
        entries = [_shown(entry) for entry in found]
        older = _query(sent, cursor=cursor_of(after)) if after else None
    except BadRequest as error:
        status, problem = error.status, str(error)
    except StoreUnavailable as error:
        status, problem = error.status, "The database does not answer. Try again in a moment."
    page = render_template(
        "activity-log.html",
        email=reader_name(),
        days=services().settings.activity_log_days,
        events=WORDS,
        asked=sent,
        entries=entries,
        older=older,
        csv=_query(sent, format="csv"),
        problem=problem,
    )
    return page, status, {"Cache-Control": "no-store"}


def _query(sent: Mapping[str, str], **more: str | None) -> str:
    kept = {name: sent[name] for name in FILTERS if name in sent}
    return urlencode({**kept, **{name: value for name, value in more.items() if value}})


def _shown(entry: LogEntry) -> dict[str, Any]:
    return {
        "at": rfc3339(entry.at_ms),
        "words": entry.words,
        "actor": entry.actor.name,
        "origin": entry.actor.origin,
        "target": entry.target,
        "details": entry.details,
    }
