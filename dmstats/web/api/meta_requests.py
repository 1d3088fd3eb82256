"""What Meta asks for on behalf of a user: to delete data, or to note that access was withdrawn."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets

from flask import Blueprint, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from dmstats.core.account_digest import account_digest
from dmstats.core.errors import NotFound
from dmstats.core.signed_request import UserRequest, read_signed_request
from dmstats.db.account_marks import AccountMarks
from dmstats.db.admins.activity_log import Event
from dmstats.web import services
from dmstats.web.auth.recording import record_stranger
from dmstats.web.schema.meta_schemas import DeletionAnswer, NotedAnswer, SignedRequest
from dmstats.web.schema.validation import body

blueprint = Blueprint("meta_requests", __name__)
logger = logging.getLogger(__name__)

NOTHING, ACCOUNT = "n", "a"
CODE = re.compile(r"([na])([0-9a-f]{16})([0-9a-f]{16})")
"""What was found, a random number, and their digest: only codes that were given have a page."""


@blueprint.post("/api/meta/data-deletion")
def delete_data() -> ResponseReturnValue:
    """A user's deletion request, from Meta: a link to what becomes of it, and its code."""
    asked, marks = _asked(), AccountMarks(services().mongo)
    known = marks.is_known(asked.user_id, services().clock.now_ms())
    code = _new_code(ACCOUNT if known else NOTHING)
    if known:
        code = marks.ask_deletion(asked.user_id, _at(asked), code)
        _record(Event.DELETION_ASKED, asked.user_id)
    logger.info("deletion_requested", extra={"known": known})
    base = (services().settings.public_url or request.url_root).rstrip("/")
    url = base + url_for("meta_requests.deletion", code=code).removeprefix(request.script_root)
    return jsonify(DeletionAnswer().dump({"url": url, "confirmation_code": code}))


@blueprint.post("/api/meta/deauthorize")
def deauthorize() -> ResponseReturnValue:
    """A user has withdrawn the app's access, from Meta; noted if that is an account."""
    asked, marks = _asked(), AccountMarks(services().mongo)
    known = marks.is_known(asked.user_id, services().clock.now_ms())
    if known:
        marks.deauthorize(asked.user_id, _at(asked))
        _record(Event.ACCESS_WITHDRAWN, asked.user_id)
    logger.info("access_withdrawn", extra={"known": known})
    return jsonify(NotedAnswer().dump({"success": True}))


@blueprint.get("/data-deletion/<code>")
def deletion(code: str) -> ResponseReturnValue:
    """The status page of a deletion request, for anyone with the code."""
    match = CODE.fullmatch(code)
    if not match or not hmac.compare_digest(_digest(match[1] + match[2]), match[3]):
        raise NotFound("This request does not exist.")
    waiting = match[1] == ACCOUNT and AccountMarks(services().mongo).is_waiting(code)
    return render_template(
        "deletion.html", code=code, waiting=waiting, was_account=match[1] == ACCOUNT
    )


def _asked() -> UserRequest:
    sent: str = body(SignedRequest, request)["signed_request"]
    return read_signed_request(sent, services().settings.meta_app_secrets)


def _at(asked: UserRequest) -> int:
    now_ms = services().clock.now_ms()
    return min(asked.issued_ms or now_ms, now_ms)


def _record(event: Event, account: str) -> None:
    key = services().settings.secret_key or ""
    record_stranger(event, account_digest(key, account))


def _new_code(kind: str) -> str:
    number = secrets.token_hex(8)
    return kind + number + _digest(kind + number)


def _digest(text: str) -> str:
    key = (services().settings.secret_key or "").encode()
    return hmac.new(key, f"data deletion {text}".encode(), hashlib.sha256).hexdigest()[:16]
