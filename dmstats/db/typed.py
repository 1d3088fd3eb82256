"""The trust boundary: the only place where values read from MongoDB become typed values.

``instagram_accounts`` and ``users`` belong to the host platform, which may store any BSON value in
any field; our own collections may hold anything after a bad restore. Each function takes any value
and returns one of its type, or None for unknown. No view, encoder or template has to check types.
docs/operations.md lists the accepted values.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson import json_util
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId

from dmstats.core.clock import to_ms

INTEGERS = range(-(2**63), 2**63)
"""The range of MongoDB's integers, and so of counters."""
MAX_DIGITS = 18

MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
DIGITS = re.compile(r"[0-9]{1,15}")
WHOLE = re.compile(r"-?[0-9]{1,19}")
MINUTE = re.compile(r"[0-9]|[1-5][0-9]")
PLACE = range(10**15)
"""Terms and sequence numbers of snapshots: up to 15 digits, as in a version."""

OWN_MOMENTS = range(32_503_680_000_000)
COUNTS = range(2**53)
MAX_NUMBER = 1e15
MAX_TEXT_LENGTH = 200
"""Longer strings are truncated: names are shown on one line, and each snapshot contains ten."""
DEEPEST = 20


def is_text(value: object) -> bool:
    """Whether it is a string. The driver's ``Code`` is a subclass of ``str``, but not text."""
    return isinstance(value, str) and not isinstance(value, Code)


def integer(value: object) -> int | None:
    """A whole number: an int, or a double or Decimal128 without a fraction; no bool or string."""
    if type(value) is int:
        return value if value in INTEGERS else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):  # the driver's Int64, which encoders do not support
        return int(value) if int(value) in INTEGERS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and int(value) in INTEGERS else None
    if isinstance(value, Decimal128):
        return _whole(value.to_decimal())
    return None


def _whole(value: Decimal) -> int | None:
    # Check the size first: 1E+6144 as an integer has 6,145 digits.
    if not value.is_finite() or value.adjusted() > MAX_DIGITS or value % 1:
        return None
    return int(value) if int(value) in INTEGERS else None


def counter(value: object) -> int | None:
    """A counter: like :func:`integer`, and 0 if missing or null."""
    return 0 if value is None else integer(value)


def count(value: object) -> int | None:
    """A counter of our own, from 0 to 2**53; larger numbers are not exact in JavaScript."""
    number = counter(value)
    # Exclude None first: ``None in range`` compares with every element.
    return number if number is not None and number in COUNTS else None


def limit(value: object) -> int | None:
    """A limit; 0 is valid. Digits in a string are accepted, since limits are never incremented."""
    if is_text(value):
        return int(str(value)) if DIGITS.fullmatch(str(value)) else None
    return integer(value)


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < MAX_NUMBER else None


def month(value: object) -> str | None:
    """A month, ``YYYY-MM``."""
    return str(value) if is_text(value) and MONTH.fullmatch(str(value)) else None


def moment(value: object) -> int | None:
    """A BSON date of the years 1 to 9999, in ms since the epoch."""
    # The driver returns other years as DatetimeMS: see ``decoding.OPTIONS``.
    return to_ms(value) if isinstance(value, datetime) else None


def own_moment(value: object) -> int | None:
    """A date of our own, of the years 1970 to 2999, in ms since the epoch: days and years are added
    to these, which must not lead out of the calendar."""
    found = moment(value)
    return found if found is not None and found in OWN_MOMENTS else None


def text(value: object) -> str | None:
    """A string, truncated to :data:`MAX_TEXT_LENGTH` characters."""
    if not is_text(value):
        return None
    found = str(value)
    return found if len(found) <= MAX_TEXT_LENGTH else f"{found[:MAX_TEXT_LENGTH]}…"


def active(value: object) -> bool:
    """Only ``false`` is inactive, or an array that contains it: so MongoDB's queries match it."""
    if isinstance(value, list):
        return all(element is not False for element in value)
    return value is not False


def identifier(value: object) -> str | None:
    """An Instagram id: a non-empty string, or the digits of a whole number."""
    if is_text(value):
        return str(value) or None
    whole = integer(value)
    return None if whole is None else str(whole)


def id_values(instagram_id: str) -> list[str | int]:
    """The values under which an account with that id may be stored: the text, and its number."""
    number = int(instagram_id) if WHOLE.fullmatch(instagram_id) else None
    return [instagram_id] if number is None or number not in INTEGERS else [instagram_id, number]


def document_id(value: object) -> str:
    """Any ``_id`` as a string by which an operator can find the document."""
    if is_text(value) or isinstance(value, ObjectId):
        return str(value)[:MAX_TEXT_LENGTH]
    try:
        return json_util.dumps(value)[:MAX_TEXT_LENGTH]
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)[:MAX_TEXT_LENGTH]


def document(value: object) -> dict[str, Any]:
    """An embedded document; empty if the value is not one."""
    return value if isinstance(value, dict) else {}


def json_ready(value: object, depth: int = 0) -> Any:
    """``value`` with JSON types only; None replaces anything that JSON cannot represent."""
    if value is None or isinstance(value, bool):
        return value
    if is_text(value):
        return str(value)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= DEEPEST:
        return None
    if isinstance(value, list | tuple):
        return [json_ready(element, depth + 1) for element in value]
    if isinstance(value, dict):
        return {
            key: json_ready(element, depth + 1)
            for key, element in value.items()
            if isinstance(key, str)
        }
    return None
