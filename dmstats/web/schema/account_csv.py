"""Reads a CSV of accounts' names, limits and states; pure.

It takes what the accounts' own export and spreadsheets write: a byte order mark, semicolons or
tabs, ids as ``="17841..."``, and texts behind a ``'``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dmstats.core.errors import BadRequest
from dmstats.db.account_edits import EDITABLE, ID, Value
from dmstats.web.schema.account_edit_schemas import MAX_LIMIT, MAX_NAME_LENGTH, NAME, normal_name

MAX_BYTES = 256 * 1024
MAX_LINES = 1_000
MAX_ID_LENGTH = 200
SEPARATORS = ",;\t"
ID_CELL = re.compile(r'="(.*)"')
SHORTENED = re.compile(r"[0-9][.,][0-9]+[eE]\+?[0-9]+")
GUARD = re.compile(r"'\s*[=+\-@\t\r]")
"""How a cell begins that would otherwise be taken for a formula."""
STATES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Line:
    """One account; ``number`` is that of its line in the file, from 1. Empty cells are left out."""

    number: int
    account: str
    fields: dict[str, Value]


@dataclass(slots=True)
class AccountsFile:
    """The readable lines, and what is wrong with the others, by line number."""

    lines: list[Line] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def read_accounts(content: bytes) -> AccountsFile:
    """Read a file with a line of names: ``instagramId``, and some of the fields that can be edited.

    Other columns are ignored. Raises :class:`BadRequest` for a file that is not one.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("The file is not in UTF-8: save it as CSV UTF-8.") from None
    head = text.partition("\n")[0]
    separator = max(SEPARATORS, key=head.count)
    # Not splitlines: it also ends lines at characters that may be in a cell, such as U+2028.
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        columns = _columns(next(rows, []))
        return _read(rows, columns)
    except csv.Error as error:
        raise BadRequest(f"The file is not CSV: line {rows.line_num}: {error}.") from None


def _columns(head: list[str]) -> dict[str, int]:
    names = {name.lower(): name for name in (ID, *EDITABLE)}
    found: dict[str, int] = {}
    for at, cell in enumerate(head):
        name = names.get(cell.strip().lower())
        if name in found:
            raise BadRequest(f"The header contains the column {name} twice.")
        if name is not None:
            found[name] = at
    if ID not in found or len(found) < 2:
        raise BadRequest(
            f"The header must contain the columns {ID}, and one or more of "
            + ", ".join(EDITABLE) + "."
        )  # fmt: skip
    return found


def _read(rows: csv._reader, columns: dict[str, int]) -> AccountsFile:  # type: ignore[name-defined]
    file, seen = AccountsFile(), dict[str, int]()
    for row in rows:
        number = rows.line_num
        cells = {name: _plain(row[at]) for name, at in columns.items() if at < len(row)}
        if not any(cells.values()):
            continue
        if len(seen) + len(file.errors) >= MAX_LINES:
            raise BadRequest(f"The file has more than {MAX_LINES:,} accounts: split it.")
        account = cells.pop(ID, "")
        try:
            _check_id(account, seen)
            fields = {name: READERS[name](cell) for name, cell in cells.items() if cell}
        except ValueError as error:
            file.errors[number] = str(error)
        else:
            seen[account] = number
            file.lines.append(Line(number, account, fields))
    return file


def _plain(cell: str) -> str:
    cell = cell.strip()
    if found := ID_CELL.fullmatch(cell):
        return found[1].strip()
    return cell[1:].strip() if GUARD.match(cell) else cell


def _check_id(account: str, seen: Mapping[str, int]) -> None:
    if not account:
        raise ValueError(f"{ID} is empty")
    if SHORTENED.fullmatch(account):
        raise ValueError(f"{ID}: a spreadsheet has shortened it; format the column as text")
    if len(account) > MAX_ID_LENGTH or not account.isprintable():
        raise ValueError(f"{ID} is not an id")
    if account in seen:
        raise ValueError(f"the account is already in line {seen[account]}")


def _name(cell: str) -> str:
    name = normal_name(cell)
    if len(name) > MAX_NAME_LENGTH or not NAME.fullmatch(name):
        raise ValueError(
            f"username may have at most {MAX_NAME_LENGTH} letters from a to z, digits, dots and "
            "underscores; an empty cell keeps the name"
        )
    return name


def _limit(cell: str) -> int:
    number = int(cell) if cell.isascii() and cell.isdecimal() and len(cell) < 20 else -1
    if not 0 <= number <= MAX_LIMIT:
        raise ValueError(f"monthlyDmLimit must be a whole number from 0 to {MAX_LIMIT:,}")
    return number


def _state(cell: str) -> bool:
    if cell.lower() not in STATES:
        raise ValueError("isActive must be true or false")
    return STATES[cell.lower()]


READERS: Mapping[str, Callable[[str], Value]] = {
    "username": _name,
    "monthlyDmLimit": _limit,
    "isActive": _state,
}
