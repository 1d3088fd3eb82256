"""The admin API: the snapshot, a refresh, the cron's refresh, and one account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.audit.account_activity import buckets
from dmstats.core.clock import HOUR_MS, month_of, rfc3339
from dmstats.core.errors import NotFound, NotSignedIn, TooManyRequests
from dmstats.db.account_marks import AccountMarks
from dmstats.db.audit.activity_store import Activities
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.state_directory import StateDirectory
from dmstats.db.documents import Account, limit_of
from dmstats.db.states.state_record import State
from dmstats.snapshot.encoded import newest_of
from dmstats.snapshot.refresher import RefreshResult
from dmstats.states.hour import hour_limit_reached_ms, seen, sent_in
from dmstats.states.rules import limit_reached_ms
from dmstats.web import services
from dmstats.web.auth.authenticator import bearer_is
from dmstats.web.schema.api_schemas import AccountAnswer, ActivityAnswer

blueprint = Blueprint("api", __name__, url_prefix="/api")


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


@blueprint.get("/admin/accounts/<instagram_id>")
def account(instagram_id: str) -> ResponseReturnValue:
    """One account's counters."""
    found = _known(instagram_id)
    states = StateDirectory(services().mongo).of([instagram_id]).get(instagram_id)
    limit = services().settings.monthly_dm_limit
    now_ms = services().clock.now_ms()
    fields = account_fields(found, now_ms, limit, states) | mark_fields(found)
    return jsonify(AccountAnswer().dump(fields | {"hourlyUse": hourly_use(found, now_ms)}))


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


def account_fields(
    account: Account, now_ms: int, monthly_limit: int, states: Sequence[State] | None
) -> dict[str, Any]:
    """An account as shown at ``now_ms``.

    ``monthly_limit`` applies to accounts without their own limit, 0 for none. ``states`` is None if
    not known yet.
    """
    month, reached_ms = month_of(now_ms), limit_reached_ms(account, now_ms, monthly_limit)
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
        "limitReachedAt": _moment(reached_ms),
        "states": None if states is None else list(map(str, states)),
    }


def hourly_use(account: Account, now_ms: int) -> dict[str, Any] | None:
    """What an account has sent in the running hour and the one before; None if unknown."""
    limit, hour = services().settings.hourly_dm_limit, now_ms // HOUR_MS
    kept = StateDirectory(services().mongo).hour_of(account.instagram_id)
    if not limit or kept is None:
        return None
    # What was sent since the last pass counts, unless an hour has begun since.
    count = seen(kept, account.dm_used, now_ms, None) if kept.hour == hour else kept
    sent = sent_in(count, hour)
    return {
        "at": rfc3339(hour * HOUR_MS),
        "sent": sent,
        "before": sent_in(count, hour - 1),
        "limit": limit,
        "limitReachedAt": _moment(hour_limit_reached_ms(sent, now_ms, limit)),
    }


def mark_fields(account: Account) -> dict[str, Any]:
    """Meta's requests about an account. DMs after a withdrawal show that access was granted
    again."""
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
        raise NotFound("There is no account with this Instagram id.")
    return found


def _span(at_ms: int, sent: int | None, received: int | None) -> dict[str, Any]:
    return {"at": rfc3339(at_ms), "sent": sent, "received": received}


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
