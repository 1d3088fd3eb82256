"""The border: the only place where a value read from MongoDB becomes a typed value.

``instagram_accounts`` and ``users`` belong to the host platform, which may put any BSON value into
any field; our own collections may hold anything after a bad restore. Each function here takes any
value and returns the value of its type, or None: unknown. Nothing behind this module meets another
type, so no view, encoder or template has to ask. docs/architecture.md lists what is understood.
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
"""What MongoDB can store as a whole number, and so what a counter can be."""
MOST_DIGITS = 18

MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
DIGITS = re.compile(r"[0-9]{1,15}")
MINUTE = re.compile(r"[0-9]|[1-5][0-9]")
PLACE = range(10**15)
"""Terms and sequence numbers of snapshots: 15 digits, as in a version."""

COUNTS = range(2**53)
LARGEST_NUMBER = 1e15
LONGEST_TEXT = 200
"""Longer texts are cut: a name is shown in one line, and ten of them are in every snapshot."""
DEEPEST = 20


def is_text(value: object) -> bool:
    """Whether it is a text; the driver's ``Code`` looks like one."""
    return isinstance(value, str) and not isinstance(value, Code)


def integer(value: object) -> int | None:
    """A whole number: an integer, a double or Decimal128 without a fraction; no bool, no text."""
    if type(value) is int:
        return value if value in INTEGERS else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):  # the driver's Int64, which no encoder knows
        return int(value) if int(value) in INTEGERS else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and int(value) in INTEGERS else None
    if isinstance(value, Decimal128):
        return _whole(value.to_decimal())
    return None


def _whole(value: Decimal) -> int | None:
    # Bounded first: 1E+6144 as an integer has 6,145 digits.
    if not value.is_finite() or value.adjusted() > MOST_DIGITS or value % 1:
        return None
    return int(value) if int(value) in INTEGERS else None


def counter(value: object) -> int | None:
    """A counter: as :func:`integer`; one that is missing or null has counted nothing."""
    return 0 if value is None else integer(value)


def count(value: object) -> int | None:
    """A counter of our own: from 0 to 2**53, above which neither a page nor a sum is exact."""
    number = counter(value)
    # Not None: a range looks for what is no integer by counting.
    return number if number is not None and number in COUNTS else None


def limit(value: object) -> int | None:
    """A limit, 0 included. Also plain digits as text: nothing is ever added to a limit."""
    if is_text(value):
        return int(str(value)) if DIGITS.fullmatch(str(value)) else None
    return integer(value)


def number(value: object) -> float | None:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST_NUMBER else None


def month(value: object) -> str | None:
    """A month, ``YYYY-MM``."""
    return str(value) if is_text(value) and MONTH.fullmatch(str(value)) else None


def moment(value: object) -> int | None:
    """A BSON date of the years 1 to 9999, in ms since the epoch."""
    # Other years arrive as the driver's DatetimeMS: see ``client.CODEC``.
    return to_ms(value) if isinstance(value, datetime) else None


def text(value: object) -> str | None:
    """A text, cut after :data:`LONGEST_TEXT` characters."""
    if not is_text(value):
        return None
    found = str(value)
    return found if len(found) <= LONGEST_TEXT else f"{found[:LONGEST_TEXT]}…"


def active(value: object) -> bool:
    """Only ``false`` is inactive, also as an element of an array: so MongoDB's index counts it."""
    if isinstance(value, list):
        return all(element is not False for element in value)
    return value is not False


def identifier(value: object) -> str | None:
    """An Instagram id as text: a text that is not empty, or the digits of a whole number."""
    if is_text(value):
        return str(value) or None
    whole = integer(value)
    return None if whole is None else str(whole)


def document_id(value: object) -> str:
    """Any ``_id`` as a text by which an operator finds the document."""
    if is_text(value) or isinstance(value, ObjectId):
        return str(value)[:LONGEST_TEXT]
    try:
        return json_util.dumps(value)[:LONGEST_TEXT]
    except (TypeError, ValueError, OverflowError, RecursionError):
        return repr(value)[:LONGEST_TEXT]


def document(value: object) -> dict[str, Any]:
    """An embedded document; empty if it is none."""
    return value if isinstance(value, dict) else {}


def json_ready(value: object, depth: int = 0) -> Any:
    """``value`` with plain types only, as JSON has them; None in place of what JSON has not."""
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
