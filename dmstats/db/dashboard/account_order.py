"""The order of accounts with arbitrary values: sections, positions, query conditions.

MongoDB sorts values of all types, but a range matches only values of its own type, and an array if
any element matches. So a list of accounts has up to three sections. Each has its own indexed
conditions, and every account is in exactly one:

1. ``KNOWN``: the sort field has its usual type. Sorted by value, ties by id.
2. ``REST``: it has another type or is missing. Sorted by id.
3. ``ATTENTION``: the id is not a string, so no DM is counted for the account. Sorted by ``_id``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bson
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from dmstats.core.clock import to_datetime, to_ms
from dmstats.db import typed
from dmstats.db.client import Document
from dmstats.db.decoding import CODEC

SORTS = ("dmUsed", "createdAt", "instagramId", "username")
"""The fields by which accounts can be sorted; all have an index."""

ID = "instagramId"
ARRAY: Document = {"$type": "array"}
LOWEST: dict[str, object] = {
    "dmUsed": typed.INTEGERS.start,
    "createdAt": datetime(1, 1, 1, tzinfo=UTC),
    ID: "",
    "username": "",
}
HIGHEST: dict[str, object] = {
    "dmUsed": typed.INTEGERS.stop - 1,
    "createdAt": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
}
"""The bounds of each field's usual values; every string is at least the empty one."""

TYPES = (
    "minKey", "null", "number", "string", "object", "array", "binData", "objectId", "bool", "date",
    "timestamp", "regex", "dbPointer", "javascript", "javascriptWithScope", "maxKey",
)  # fmt: skip
"""All BSON types in MongoDB's sort order."""

PYTHON_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "bool"),
    ((int, float, Decimal128), "number"),
    (Code, "javascript"),
    (str, "string"),
    ((dict, DBRef), "object"),
    ((bytes, Binary), "binData"),
    (ObjectId, "objectId"),
    ((datetime, DatetimeMS), "date"),
    (Timestamp, "timestamp"),
    (Regex, "regex"),
    (MinKey, "minKey"),
    (MaxKey, "maxKey"),
)

KNOWN, REST, ATTENTION = range(3)
MAX_IN_CURSOR = 200
DECIMAL = "decimal:"

Value = int | float | str | None
"""The value of the sort field in a position. Dates are ms since the epoch; a Decimal128 is
"decimal:" followed by its digits."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A field of :data:`SORTS` and its direction; accounts without the field come last."""

    field: str = "dmUsed"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """The account after which the next page starts.

    ``value`` is None in the section ``rest``. ``key`` is the account's ``_id`` as BSON in the
    section ``attention``, where value and id are empty. With ``reread`` it names any account by
    its ``_id``: its value or id is too long for a cursor, and is read again.
    """

    value: Value
    instagram_id: str
    key: bytes = b""
    reread: bool = False


def usual(field: str, *, arrays: bool) -> Document:
    """The condition for values of the usual type. Set ``arrays`` if the index may contain arrays,
    which a range would match by their elements."""
    highest = {"$lte": HIGHEST[field]} if field in HIGHEST else {}
    return {"$gte": LOWEST[field], **highest} | ({"$not": ARRAY} if arrays else {})


def ids_after(last: object) -> Document:
    """The condition for any ``_id`` that MongoDB sorts after ``last``."""
    if isinstance(last, float) and math.isnan(last):
        larger: Document = {"$gte": -math.inf}  # NaN sorts before all numbers; no range matches it
    else:
        larger = {"$gt": last}
    later = list(TYPES[TYPES.index(_type_of(last)) + 1 :])
    return {"$or": [{"_id": larger}, *([{"_id": {"$type": later}}] if later else [])]}


def _type_of(value: object) -> str:
    """The name of a value's type in :data:`TYPES`."""
    for types, name in PYTHON_TYPES:
        if isinstance(value, types):
            return name
    return "null"


def id_of(key: bytes) -> object:
    return bson.decode(key, CODEC)["_id"]


def _key_of(row: Document) -> bytes:
    return bson.encode({"_id": row["_id"]})


def _is_usual(field: str, value: object) -> bool:
    if field == "createdAt":
        return isinstance(value, datetime)
    if field != "dmUsed":
        return typed.is_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal128):
        return False
    number = _comparable(value)
    # Check for NaN first: comparing a Decimal NaN raises, unlike a float's.
    return bool(math.isfinite(number) and typed.INTEGERS.start <= number <= typed.INTEGERS.stop - 1)


def _comparable(value: Any) -> Any:
    return value.to_decimal() if isinstance(value, Decimal128) else value


def _section(row: Document, field: str) -> int:
    if not typed.is_text(row.get(ID)):
        return ATTENTION
    return KNOWN if _is_usual(field, row.get(field)) else REST


def section_of(after: Position | None) -> int:
    if after is not None and after.key:
        return ATTENTION
    return REST if after is not None and after.value is None else KNOWN


def value_of(field: str, row: Document) -> Value:
    """The account's value of ``field`` for a :class:`Position`; None if it has another type."""
    value = row.get(field)
    if not _is_usual(field, value):
        return None
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Decimal128):
        return f"{DECIMAL}{value}"
    return value if isinstance(value, int | float | str) else None


def stored(field: str, value: Value) -> object:
    if field == "createdAt" and isinstance(value, int):
        return to_datetime(value)
    if field == "dmUsed" and isinstance(value, str):
        return Decimal128(value.removeprefix(DECIMAL))
    return value


def in_order(rows: list[Document], sort: Sort) -> list[Document]:
    sections: tuple[list[Document], ...] = ([], [], [])
    for row in rows:
        sections[_section(row, sort.field)].append(row)
    known, rest, attention = sections
    for section in (known, rest):
        section.sort(key=lambda row: str(row[ID]))
    known.sort(key=lambda row: _comparable(row[sort.field]), reverse=sort.descending)
    attention.sort(key=_key_of)
    return [*known, *rest, *attention]


def is_after(row: Document, sort: Sort, after: Position) -> bool:
    section = _section(row, sort.field)
    if section != section_of(after):
        return section > section_of(after)
    if section == ATTENTION:
        return _key_of(row) > after.key
    if section == KNOWN:
        value, bound = _comparable(row[sort.field]), _comparable(stored(sort.field, after.value))
        if value != bound:
            return bool(value < bound if sort.descending else value > bound)
    return str(row[ID]) > after.instagram_id


def unique(rows: list[Document]) -> list[Document]:
    return list({_key_of(row): row for row in rows}.values())


def position_of(row: Document, sort: Sort, *, in_cursor: bool = True) -> Position:
    if not typed.is_text(row.get(ID)):
        return Position(None, "", _key_of(row))
    value, instagram_id = value_of(sort.field, row), str(row[ID])
    longest = max(len(instagram_id), len(value) if isinstance(value, str) else 0)
    if in_cursor and longest > MAX_IN_CURSOR:
        return Position(None, "", _key_of(row), reread=True)
    return Position(value, instagram_id)
