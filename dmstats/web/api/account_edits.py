"""Changes of accounts' names, limits and states: one account, or many by a CSV file."""

from __future__ import annotations

import hashlib
import json
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Request, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from dmstats.core.errors import DmstatsError, NotFound, TooLarge
from dmstats.db.account_edits import (
    AccountEdits,
    AccountRefusesEdit,
    Changes,
    Fields,
    Value,
    changes_of,
)
from dmstats.db.admins.activity_log import ActivityLog, Actor, Event
from dmstats.db.client import Document, deadline
from dmstats.db.dashboard.state_directory import StateDirectory
from dmstats.db.documents import account, limit_of
from dmstats.web import services
from dmstats.web.api.stats import account_fields, hourly_use, mark_fields
from dmstats.web.auth.recording import record, requester
from dmstats.web.schema.account_csv import MAX_BYTES, AccountsFile, read_accounts
from dmstats.web.schema.account_edit_schemas import (
    AccountPatch,
    ImportAnswer,
    ImportQuery,
    normal_name,
)
from dmstats.web.schema.api_schemas import AccountAnswer
from dmstats.web.schema.validation import body, body_has_arrived, parameters

blueprint = Blueprint("account_edits", __name__, url_prefix="/api/admin/accounts")

SHOWN = 200
"""How many changes and errors of an import are listed."""
UNKNOWN = "there is no account with this id; accounts are created by their first DM"
RECORD_SECONDS = 2.0
REFUSED = "the database refuses this change, for example because of a validator or a unique index"


class PreviewOutdated(DmstatsError):
    """The file would now change other things than its preview said."""

    status = 409
    title = "Preview outdated"


@blueprint.patch("/<instagram_id>")
def change(instagram_id: str) -> ResponseReturnValue:
    """Change one account's name, limit or state; answers the account."""
    wanted: Fields = body(AccountPatch, request)
    edits = _edits()
    found = edits.find([instagram_id])
    if not found:
        raise NotFound("There is no account with this Instagram id.")
    changes = changes_of(account(found[instagram_id]), wanted)
    if edits.write({instagram_id: wanted}, found):
        raise AccountRefusesEdit(f"Nothing was changed: {REFUSED}.")
    if changes:
        record(Event.ACCOUNT_CHANGED, instagram_id, _words(changes))
    now = account(edits.find([instagram_id]).get(instagram_id, found[instagram_id]))
    states = StateDirectory(services().mongo).of([instagram_id]).get(instagram_id)
    limit = services().settings.monthly_dm_limit
    now_ms = services().clock.now_ms()
    fields = account_fields(now, now_ms, limit, states) | mark_fields(now)
    return jsonify(AccountAnswer().dump(fields | {"hourlyUse": hourly_use(now, now_ms)}))


@blueprint.post("/import")
def import_accounts() -> ResponseReturnValue:
    """Say what a CSV file would change; with ``apply``, the ``preview`` of that answer, change it.

    Lines with an error are left out.
    """
    asked = parameters(ImportQuery, request)
    file, edits = read_accounts(_content(request)), _edits()
    found = edits.find({line.account for line in file.lines})
    plan = _plan(file, found, services().settings.monthly_dm_limit)
    if asked["apply"] is None:
        return jsonify(ImportAnswer().dump(plan.answer()))
    if asked["apply"] != plan.preview:
        raise PreviewOutdated(
            "The accounts or the file have changed since the preview: request a new preview."
        )
    try:
        refused = edits.write(plan.wanted(), found)
    except DmstatsError:
        # Another context, because the request's deadline may have caused the error.
        log, by = services().activity_log, requester()
        Context().run(_record_half_import, plan, edits, log, by)
        raise
    plan.refuse(refused)
    if plan.changes:
        record(Event.ACCOUNTS_IMPORTED, "", plan.words())
    return jsonify(ImportAnswer().dump(plan.answer(applied=True)))


def _record_half_import(plan: _Plan, edits: AccountEdits, log: ActivityLog, by: Actor) -> None:
    """Add to the activity log how many accounts an import has changed before it failed."""
    wanted = plan.wanted()
    try:
        with deadline(RECORD_SECONDS):
            now = edits.find(wanted)
    except DmstatsError:
        done = f"an unknown number of {len(wanted)} accounts"
    else:
        changed = [name for name in now if not changes_of(account(now[name]), wanted[name])]
        done = f"{len(changed)} of {len(wanted)} accounts"
    log.add(Event.ACCOUNTS_IMPORTED, by, details=f"not finished: {done}")


@dataclass(slots=True)
class _Plan:
    """What a file changes: by account its line and the values before and after."""

    changes: dict[str, tuple[int, Changes]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    unchanged: int = 0

    @property
    def preview(self) -> str:
        """Identifies the changes."""
        return hashlib.sha256(json.dumps(self.changes).encode()).hexdigest()[:32]

    def wanted(self) -> dict[str, Fields]:
        return {
            name: {field: after for field, (_, after) in changes.items()}
            for name, (_, changes) in self.changes.items()
        }

    def refuse(self, accounts: set[str]) -> None:
        for name in accounts:
            line, _ = self.changes.pop(name)
            self.errors[line] = REFUSED

    def words(self) -> str:
        sums: dict[str, int] = {}
        for _, changes in self.changes.values():
            for name in changes:
                sums[name] = sums.get(name, 0) + 1
        counted = ", ".join(f"{name} of {n}" for name, n in sums.items())
        return f"{len(self.changes)} accounts: {counted}"

    def answer(self, *, applied: bool = False) -> dict[str, Any]:
        changes = [
            {"line": line, "account": name, "field": field, "before": before, "after": after}
            for name, (line, changes) in self.changes.items()
            for field, (before, after) in changes.items()
        ]
        errors = [{"line": line, "problem": self.errors[line]} for line in sorted(self.errors)]
        return {
            "applied": applied,
            "accounts": len(self.changes),
            "unchanged": self.unchanged,
            "failed": len(errors),
            "changes": changes[:SHOWN],
            "errors": errors[:SHOWN],
            "preview": self.preview,
        }


def _plan(file: AccountsFile, found: dict[str, Document], default_limit: int) -> _Plan:
    plan = _Plan(errors=dict(file.errors))
    for line in file.lines:
        if line.account not in found:
            plan.errors[line.number] = UNKNOWN
            continue
        known = account(found[line.account])
        changes = changes_of(known, line.fields)
        # For accounts without their own limit, the export contains the general one.
        limit = changes.get("monthlyDmLimit", (None, None))
        if limit[1] is not None and limit == (None, limit_of(known, default_limit)):
            del changes["monthlyDmLimit"]
        # The export also contains names in the platform's spelling.
        name, wanted_name = changes.get("username", (None, None))
        if isinstance(name, str) and normal_name(name) == wanted_name:
            del changes["username"]
        if changes:
            plan.changes[line.account] = line.number, changes
        else:
            plan.unchanged += 1
    return plan


def _content(request: Request) -> bytes:
    request.max_content_length = MAX_BYTES
    try:
        sent = request.get_data()
    except RequestEntityTooLarge:
        raise TooLarge(f"The file is over {MAX_BYTES // 1024} KiB: split it.") from None
    body_has_arrived()
    return sent


def _edits() -> AccountEdits:
    return AccountEdits(services().mongo, services().clock)


def _words(changes: Changes) -> str:
    return "; ".join(f"{name}: {_word(a)} → {_word(b)}" for name, (a, b) in changes.items())


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
