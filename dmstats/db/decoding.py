"""How documents are decoded: a value that the driver cannot decode costs only itself.

The host platform's documents may hold anything that MongoDB stores. The driver raises an error for
dates and texts that Python has no value for, unless its options say otherwise, and in any case for
binary data of the old subtype with a wrong inner length and for documents nested too deeply. The
error is about the whole reply, and so about all documents in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, cast

import bson
from bson.binary import USER_DEFINED_SUBTYPE, Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    # Years before 1 and after 9999, and invalid UTF-8.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
DOCUMENT, ARRAY = 3, 4
STRING, BINARY, REGEX, POINTER, CODE, SYMBOL, SCOPED_CODE = 2, 5, 11, 12, 13, 14, 15
SIZES = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
"""The bytes of each type with values of one size."""
MOST_LEVELS = 100


def decoded(raw: bytes) -> dict[str, Any]:
    """The BSON document ``raw``. Values that the driver cannot decode are replaced by their bytes,
    as binary data of a user-defined subtype, which no field of ours has.

    Raises :class:`InvalidBSON` if the structure itself is damaged.
    """
    try:
        return bson.decode(raw, OPTIONS)
    except InvalidBSON:
        return _one_by_one(raw, 0)


def _one_by_one(raw: bytes, level: int) -> dict[str, Any]:
    return {name: _value(kind, value, level) for name, kind, value in _elements(raw)}


def _value(kind: int, value: bytes, level: int) -> object:
    try:
        return bson.decode(_framed(bytes([kind, 0]) + value), OPTIONS)[""]
    except InvalidBSON:
        if kind not in (DOCUMENT, ARRAY) or level == MOST_LEVELS:
            return Binary(value, USER_DEFINED_SUBTYPE)
    found = _one_by_one(value, level + 1)
    return found if kind == DOCUMENT else list(found.values())


def _framed(elements: bytes) -> bytes:
    return (len(elements) + 5).to_bytes(4, "little") + elements + b"\0"


def _elements(raw: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, type and encoded value of each field."""
    at, end = 4, len(raw) - 1
    while at < end:
        name_end = _text_end(raw, at + 1)
        size = _size(raw, raw[at], name_end)
        value = raw[name_end : name_end + size]
        if len(value) != size:
            raise InvalidBSON("a value is cut off")
        yield raw[at + 1 : name_end - 1].decode("utf-8", "replace"), raw[at], value
        at = name_end + size


def _size(raw: bytes, kind: int, at: int) -> int:
    """The bytes of the value of type ``kind`` that begins at ``at``."""
    if kind in SIZES:
        return SIZES[kind]
    if kind == REGEX:
        return _text_end(raw, _text_end(raw, at)) - at
    length = int.from_bytes(raw[at : at + 4], "little")
    if kind in (DOCUMENT, ARRAY, SCOPED_CODE):
        return length
    if kind in (STRING, CODE, SYMBOL):
        return 4 + length
    if kind == BINARY:
        return 5 + length
    if kind == POINTER:
        return 16 + length
    raise InvalidBSON(f"there is no type {kind}")


def _text_end(raw: bytes, at: int) -> int:
    """The place after the zero that ends the text at ``at``."""
    end = raw.find(b"\0", at) + 1
    if not end:
        raise InvalidBSON("a text has no end")
    return end


class _Decoded(RawBSONDocument):
    """What the driver calls with each reply, instead of decoding it itself; makes a plain
    ``dict``."""

    def __new__(cls, raw: bytes, _options: object) -> Self:
        return cast("Self", decoded(bytes(raw)))


CODEC = cast(
    "CodecOptions[dict[str, Any]]",
    OPTIONS.with_options(document_class=_Decoded),
)
"""The options for every collection."""
