"""The list of accounts: a page of it, and all of it as CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import month_of, rfc3339
from dmstats.core.errors import Unavailable
from dmstats.core.spreadsheet_text import spreadsheet_text
from dmstats.db import typed
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.account_order import ID, SORTS, Position, Sort
from dmstats.db.dashboard.state_directory import FIRST_PASS_SECONDS, StateDirectory
from dmstats.db.documents import Account, account
from dmstats.db.states.summary import StateFilter, Summary, Totals
from dmstats.web import services
from dmstats.web.api.stats import account_fields
from dmstats.web.schema import cursors
from dmstats.web.schema.account_schemas import AccountExportQuery, AccountsAnswer, AccountsQuery
from dmstats.web.schema.validation import parameters

blueprint = Blueprint("account_list", __name__, url_prefix="/api/admin/accounts")

BROWSE_SORT = "-dmUsed"
SEARCH_SORT = "username"
COLUMNS = (
    "instagramId", "username", "isActive", "states", "monthlyDmUsed", "monthlyDmLimit",
    "limitReachedAt", "dmUsed", "dmReceived", "lastDMSent", "lastDMReceived", "createdAt",
)  # fmt: skip
PIECE = 32 * 1024
"""Characters that are sent at once."""
BOM = "\ufeff"
"""Excel reads UTF-8 only after it."""


@blueprint.get("")
def accounts() -> ResponseReturnValue:
    """A page of the accounts that match ``query`` and the filter."""
    asked = parameters(AccountsQuery, request)
    query, wanted = asked["query"].strip(), filter_of(asked)
    name = asked["sort"] or (SEARCH_SORT if query else BROWSE_SORT)
    sort = Sort(name.removeprefix("-"), name.startswith("-"))
    # A cursor continues the list that it was issued for.
    about = query if wanted.is_open else msgspec.json.encode([query, wanted]).decode()
    after = cursors.decode(asked["cursor"], sort=name, query=about)
    summary = StateDirectory(services().mongo).summary()
    if sort.field in SORTS and wanted.is_open:
        page = _plain(query, sort, after, asked["limit"])
    else:
        _demand(summary)
        page = _stated(query, wanted, sort, after, asked["limit"])
    answer = {
        "accounts": list(_fields(page.accounts)),
        "nextCursor": cursors.encode(page.after, sort=name, query=about),
        "complete": page.complete,
        "totals": _totals(page.matched, wanted, summary),
    }
    return jsonify(AccountsAnswer().dump(answer))


@blueprint.get("/export")
def export() -> ResponseReturnValue:
    """All accounts that match ``query`` and the filter, sent as they are read; in no order."""
    asked = parameters(AccountExportQuery, request)
    query, wanted = asked["query"].strip(), filter_of(asked)
    (rows, complete), kind = _every(query, wanted), asked["format"]
    now_ms = services().clock.now_ms()
    body = _csv(rows) if kind == "csv" else _json(rows, now_ms, complete=complete)
    response = Response(body, mimetype="text/csv" if kind == "csv" else "application/json")
    name = f"dmstats-accounts-{rfc3339(now_ms)[:10]}.{kind}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


class Page(msgspec.Struct):
    """Some accounts in order. ``matched`` are all that a search found; None without one."""

    accounts: list[Account]
    after: Position | None
    complete: bool = True
    matched: list[Account] | None = None


def filter_of(asked: Mapping[str, Any]) -> StateFilter:
    """The filter that a validated query asks for."""
    return StateFilter(asked["state"], asked["active"], asked["hasLimit"])


def _demand(summary: Summary | None) -> None:
    if summary is None:
        raise Unavailable(
            "The accounts' states are not known yet: they are being computed for the first time.",
            retry_after=FIRST_PASS_SECONDS,
        )


def _plain(query: str, sort: Sort, after: Position | None, limit: int) -> Page:
    """From the accounts themselves."""
    directory = AccountDirectory(services().mongo)
    if not query:
        found = directory.page(sort, after, limit)
        return Page(found.accounts, found.after)
    matches, complete = directory.matches(query)
    found = directory.cut(matches, sort, after, limit)
    return Page(found.accounts, found.after, complete, [account(row) for row in matches])


def _stated(
    query: str, wanted: StateFilter, sort: Sort, after: Position | None, limit: int
) -> Page:
    """In the order of the states, which are minutes old; the figures are of this moment."""
    accounts, states = AccountDirectory(services().mongo), StateDirectory(services().mongo)
    if not query:
        found = states.page(wanted, sort, after, limit)
        return Page(accounts.many(found.ids), found.after)
    matches, complete = accounts.matches(query)
    by_id = {row[ID]: row for row in matches if typed.is_text(row.get(ID))}
    found, every = states.among(by_id.keys(), wanted, sort, after, limit)
    matched = {name: account(by_id[name]) for name in every}
    return Page([matched[each] for each in found.ids], found.after, complete, [*matched.values()])


def _totals(
    matched: Sequence[Account] | None, wanted: StateFilter, summary: Summary | None
) -> dict[str, Any] | None:
    """Of all matches of a search, or as the last pass added them up."""
    now_ms = services().clock.now_ms()
    month = month_of(now_ms)
    if matched is None:
        if summary is None:
            return None
        found, at_ms, known = summary.totals(wanted), summary.at_ms, summary.month == month
    else:
        found, at_ms, known = Totals(), now_ms, True
        for each in matched:
            used = each.used_in(month)
            found.add(1, used or 0, each.dm_used or 0, each.dm_received or 0)
    return {
        "at": rfc3339(at_ms),
        "accounts": found.accounts,
        "monthlyDmUsed": found.month_sent if known else None,
        "dmUsed": found.sent,
        "dmReceived": found.received,
    }


def _every(query: str, wanted: StateFilter) -> tuple[Iterator[dict[str, Any]], bool]:
    """All matches, read in batches, and whether a search found them all."""
    accounts, states = AccountDirectory(services().mongo), StateDirectory(services().mongo)
    now_ms, limit = services().clock.now_ms(), services().settings.monthly_dm_limit
    batches: Iterable[list[Account]]
    complete = True
    if not wanted.is_open:
        _demand(states.summary())
    if query:
        matches, complete = accounts.matches(query)
        by_id = {row[ID]: account(row) for row in matches if typed.is_text(row.get(ID))}
        if wanted.is_open:
            batches = [[account(row) for row in matches]]
        else:
            _, every = states.among(by_id.keys(), wanted, Sort(ID), None, 1)
            batches = [[by_id[name] for name in every]]
    elif wanted.is_open:
        batches = accounts.every()
    else:
        batches = (accounts.many(ids) for ids in states.every(wanted))

    def rows() -> Iterator[dict[str, Any]]:
        for batch in batches:
            known = states.of([each.instagram_id for each in batch])
            for each in batch:
                yield account_fields(each, now_ms, limit, known.get(each.instagram_id))

    return rows(), complete


def _fields(found: Sequence[Account]) -> Iterator[dict[str, Any]]:
    states = StateDirectory(services().mongo).of([each.instagram_id for each in found])
    now_ms, limit = services().clock.now_ms(), services().settings.monthly_dm_limit
    for each in found:
        yield account_fields(each, now_ms, limit, states.get(each.instagram_id))


def _csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    text.write(BOM)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(name, row[name]) for name in COLUMNS])
        if text.tell() >= PIECE:
            yield _taken(text)
    yield _taken(text)


def _json(rows: Iterable[Mapping[str, Any]], at_ms: int, *, complete: bool) -> Iterator[str]:
    text = io.StringIO()
    about = msgspec.json.encode({"at": rfc3339(at_ms), "complete": complete}).decode()
    text.write(f'{about.removesuffix("}")},"accounts":[')
    for place, row in enumerate(rows):
        text.write(",\n" if place else "\n")
        text.write(msgspec.json.encode({name: row[name] for name in COLUMNS}).decode())
        if text.tell() >= PIECE:
            yield _taken(text)
    text.write("\n]}\n")
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    taken = text.getvalue()
    text.seek(0)
    text.truncate()
    return taken


def _cell(name: str, value: object) -> object:
    if name == ID:
        # Of a number, a spreadsheet keeps 15 digits only.
        digits = str(value).isascii() and str(value).isdecimal()
        return f'="{value}"' if digits else spreadsheet_text(str(value))
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return spreadsheet_text(value) if isinstance(value, str) else value
