"""The admin API: the snapshot, a refresh, the cron's refresh, and the accounts."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.audit.account_activity import buckets
from dmstats.core.clock import month_of, rfc3339
from dmstats.core.errors import NotFound, NotSignedIn, TooManyRequests
from dmstats.db.account_marks import AccountMarks
from dmstats.db.audit.activity_store import Activities
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.account_order import Sort
from dmstats.db.documents import Account
from dmstats.snapshot.build import limit_of
from dmstats.snapshot.encoded import newest_of
from dmstats.snapshot.refresher import RefreshResult
from dmstats.web import services
from dmstats.web.auth.authenticator import bearer_is
from dmstats.web.schema import cursors
from dmstats.web.schema.api_schemas import (
    AccountAnswer,
    AccountsAnswer,
    AccountsQuery,
    ActivityAnswer,
)
from dmstats.web.schema.validation import parameters

blueprint = Blueprint("api", __name__, url_prefix="/api")

BROWSE_SORT = "-dmUsed"
SEARCH_SORT = "username"


@blueprint.get("/admin/stats")
def stats() -> ResponseReturnValue:
    """The snapshot, or 304 if the client already has it."""
    # Monotonic reads: no worker may answer with an older version than the client's ETag.
    known = request.if_none_match
    served = services().reader.current(newest_of(known.as_set(include_weak=True)))
    if known.contains_weak(served.etag):
        response = Response(status=304)
    else:
        response = Response(served.body, mimetype="application/json")
    # Weak: the figures are the same, but the age in the body differs.
    response.set_etag(served.etag, weak=True)
    response.headers["Cache-Control"] = "private, no-cache"
    return response


@blueprint.post("/admin/stats/refresh")
def refresh() -> ResponseReturnValue:
    """Refresh and publish now, unless the publish limit forbids it."""
    wait = services().publisher.retry_after()
    if wait > 0:
        raise _too_soon(wait)
    done = services().refresher.refresh(publish=True)
    if done.rate_limited:
        raise _too_soon(done.retry_after)
    return jsonify(_refreshed(done)), 202


@blueprint.get("/admin/traffic")
def traffic() -> ResponseReturnValue:
    """Whether deliveries fail or have stopped arriving; does not query the database."""
    return jsonify(msgspec.to_builtins(services().delivery_status.current()))


@blueprint.route("/cron/refresh-admin-stats", methods=["GET", "POST"])
def cron() -> ResponseReturnValue:
    """Refresh always, publish within the limit; for a cron job with ``CRON_SECRET``."""
    if not bearer_is(services().settings.cron_secret):
        raise NotSignedIn("Send CRON_SECRET as a bearer token.")
    done = services().refresher.refresh(publish=True)
    return jsonify({"success": True, **_refreshed(done)})


@blueprint.get("/admin/accounts")
def accounts() -> ResponseReturnValue:
    """A page of the accounts, or of those whose name or id starts with ``query``."""
    asked = parameters(AccountsQuery(), request)
    query = asked["query"].strip()
    name = asked["sort"] or (SEARCH_SORT if query else BROWSE_SORT)
    sort = Sort(name.removeprefix("-"), name.startswith("-"))
    after = cursors.decode(asked["cursor"], sort=name, query=query)
    directory = AccountDirectory(services().mongo)
    if query:
        page = directory.search(query, sort, after, asked["limit"])
    else:
        page = directory.page(sort, after, asked["limit"])
    month, limit = _month(), services().settings.monthly_dm_limit
    answer = {
        "accounts": [account_fields(account, month, limit) for account in page.accounts],
        "nextCursor": cursors.encode(page.after, sort=name, query=query),
        "complete": page.complete,
    }
    return jsonify(AccountsAnswer().dump(answer))


@blueprint.get("/admin/accounts/<instagram_id>")
def account(instagram_id: str) -> ResponseReturnValue:
    """One account's counters."""
    found = _known(instagram_id)
    limit = services().settings.monthly_dm_limit
    answer = account_fields(found, _month(), limit) | _marks(found)
    return jsonify(AccountAnswer().dump(answer))


@blueprint.get("/admin/accounts/<instagram_id>/activity")
def activity(instagram_id: str) -> ResponseReturnValue:
    """One account's recent activity, as counted by the last audit."""
    _known(instagram_id)
    found = Activities(services().mongo).of(instagram_id)
    hours, days = buckets(found) if found else ([], [])
    answer = {
        "at": rfc3339(found.at_ms) if found else None,
        "hours": [_span(*bucket) for bucket in hours],
        "days": [_span(*bucket) for bucket in days],
        "hourlyDmLimit": services().settings.hourly_dm_limit or None,
    }
    return jsonify(ActivityAnswer().dump(answer))


def account_fields(account: Account, month: str, monthly_limit: int) -> dict[str, Any]:
    """An account as it is shown in ``month`` ("YYYY-MM").

    ``monthly_limit`` is that of the accounts without one of their own, 0 for none.
    """
    return {
        "documentId": account.document_id,
        "needsAttention": list(account.odd),
        "instagramId": account.instagram_id,
        "username": account.username,
        "isActive": account.is_active,
        "createdAt": _moment(account.created_ms),
        "dmUsed": account.dm_used,
        "monthlyDmUsed": account.used_in(month),
        "currentMonth": month,
        "monthlyDmLimit": limit_of(account, monthly_limit),
        "lastDMSent": _moment(account.last_sent_ms),
        "dmReceived": account.dm_received,
        "lastDMReceived": _moment(account.last_received_ms),
    }


def _marks(account: Account) -> dict[str, Any]:
    """What Meta told about an account. With DMs after it was withdrawn, access was given again."""
    marks = AccountMarks(services().mongo).of(account.instagram_id)
    last_ms = max(account.last_sent_ms or 0, account.last_received_ms or 0)
    is_withdrawn = marks.deauthorized_ms is not None and marks.deauthorized_ms >= last_ms
    return {
        "deauthorizedAt": _moment(marks.deauthorized_ms) if is_withdrawn else None,
        "deletionAskedAt": _moment(marks.deletion_asked_ms),
    }


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)


def _known(instagram_id: str) -> Account:
    found = AccountDirectory(services().mongo).one(instagram_id)
    if found is None:
        raise NotFound("There is no account with that Instagram id.")
    return found


def _span(at_ms: int, sent: int | None, received: int | None) -> dict[str, Any]:
    return {"at": rfc3339(at_ms), "sent": sent, "received": received}


def _month() -> str:
    return month_of(services().clock.now_ms())


def _too_soon(wait: float) -> TooManyRequests:
    return TooManyRequests("The figures were refreshed a moment ago.", retry_after=wait)


def _refreshed(done: RefreshResult) -> dict[str, Any]:
    return {
        "version": done.version,
        "published": done.published,
        "rateLimited": done.rate_limited,
        "computeMs": done.compute_ms,
        "dbQueries": done.db_queries,
    }
