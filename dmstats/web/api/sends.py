"""Lost DMs: the platform reports what it has sent, admins see DMs without an echo."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import DAY_MS, HOUR_MS, to_datetime, to_ms
from dmstats.core.errors import BadRequest
from dmstats.db.send_store import Send, SendDay
from dmstats.ingest.identity import message_digest
from dmstats.web import services
from dmstats.web.schema.send_schemas import (
    AccountLostAnswer,
    DaysQuery,
    LostAnswer,
    LostQuery,
    Sends,
    SendsAnswer,
)
from dmstats.web.schema.validation import body, parameters

blueprint = Blueprint("sends", __name__, url_prefix="/api")

MAX_BYTES = 1024 * 1024
OLDEST_MS = DAY_MS
AHEAD_MS = HOUR_MS
"""How far the platform's clock may be ahead; such a time is taken for now."""


@blueprint.post("/sends")
def tell() -> ResponseReturnValue:
    """Remember which DMs the platform has sent."""
    told, now_ms = body(Sends, request, most=MAX_BYTES)["sends"], services().clock.now_ms()
    sends = [_send(number, item, now_ms) for number, item in enumerate(told)]
    accepted = services().sends.add(sends)
    answer = {"accepted": accepted, "repeated": len(sends) - accepted}
    return jsonify(SendsAnswer().dump(answer)), 202


@blueprint.get("/admin/lost")
def lost() -> ResponseReturnValue:
    """The DMs without an echo of the last days: of all accounts, and by account."""
    asked = parameters(LostQuery, request)
    since, until = _span(asked["days"])
    store, limit = services().sends, asked["limit"]
    worst = store.worst(since, limit + 1)
    names = store.names([each.account for each in worst[:limit]])
    answer = {
        "days": [_fields(day) for day in store.totals(since, until)],
        "accounts": [
            {**_fields(day), "account": day.account, "username": names.get(day.account)}
            for day in worst[:limit]
        ],
        "complete": len(worst) <= limit,
    }
    return jsonify(LostAnswer().dump(answer))


@blueprint.get("/admin/accounts/<instagram_id>/lost")
def lost_of_account(instagram_id: str) -> ResponseReturnValue:
    """One account's DMs without an echo; no days for an account without reported DMs."""
    since, until = _span(parameters(DaysQuery, request)["days"])
    days = services().sends.of_account(instagram_id, since, until)
    return jsonify(AccountLostAnswer().dump({"days": [_fields(day) for day in days]}))


def _send(number: int, item: dict[str, Any], now_ms: int) -> Send:
    at_ms = now_ms if item["at"] is None else _at(number, item["at"])
    if not now_ms - OLDEST_MS <= at_ms <= now_ms + AHEAD_MS:
        raise BadRequest(f"sends: {number}: at: Must be a time in the last 24 hours.")
    digest = message_digest(item["mid"])
    return Send(digest, item["account"], min(at_ms, now_ms))


def _at(number: int, text: str) -> int:
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        raise BadRequest(f"sends: {number}: at: This time does not exist.") from None


def _span(days: int) -> tuple[int, int]:
    now_ms = services().clock.now_ms()
    return now_ms - (days - 1) * DAY_MS, now_ms + 1


def _fields(day: SendDay) -> dict[str, Any]:
    return {
        "day": to_datetime(day.day_ms).date(),
        "sends": day.sends,
        "late": day.late,
        "lost": day.lost,
        "lost_share": day.lost_share,
    }
