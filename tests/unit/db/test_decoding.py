"""A value that the driver cannot decode costs only itself, not the reply that it is in."""

from __future__ import annotations

import struct
from typing import Any

import bson
import pytest
from bson.binary import Binary
from bson.errors import InvalidBSON
from hypothesis import given
from hypothesis import strategies as st

from dmstats.db.decoding import CODEC, SIZES, decoded
from dmstats.db.documents import ACCOUNT_FIELDS, account
from tests.bson_values import ODD_VALUES

OLD_BINARY = b"\x05%b\0" + struct.pack("<i", 3) + b"\x02abc"
"""Binary data of the old subtype, without the inner length; MongoDB stores it."""
BOOLEAN = b"\x08%b\0\x02"


def document(*elements: bytes) -> bytes:
    whole = b"".join(elements)
    return struct.pack("<i", len(whole) + 5) + whole + b"\0"


def deep(levels: int) -> bytes:
    found = document()
    for _ in range(levels):
        found = document(b"\x03a\0" + found)
    return b"\x03%b\0" + found


UNDECODABLE = [OLD_BINARY, BOOLEAN, deep(3000)]


def named(element: bytes, name: str) -> bytes:
    return element.replace(b"%b", name.encode(), 1)


def field(name: str, value: object) -> bytes:
    return bson.encode({name: value})[4:-1]


def reply(*documents: bytes) -> bytes:
    """A reply with a batch of documents, as the server sends it."""
    batch = document(*(b"\x03%d\0" % n + each for n, each in enumerate(documents)))
    cursor = document(b"\x04firstBatch\0" + batch, field("id", 0), field("ns", "a.b"))
    return document(b"\x03cursor\0" + cursor, field("ok", 1.0))


@pytest.mark.parametrize("element", UNDECODABLE)
def test_the_driver_itself_fails(element: bytes) -> None:
    with pytest.raises(InvalidBSON):
        bson.decode(document(named(element, "v")))


@pytest.mark.parametrize("element", UNDECODABLE)
@pytest.mark.parametrize("at", [*ACCOUNT_FIELDS, "instagramId", "_id", "somethingElse"])
def test_one_account_costs_only_its_field(element: bytes, at: str) -> None:
    usual = {"_id": 1, "instagramId": "17", "username": "shop", "dmUsed": 5}
    fields = [field(name, value) for name, value in usual.items() if name != at]
    broken = document(*fields, named(element, at))
    (found,) = bson.decode_all(reply(bson.encode(usual), broken, bson.encode(usual)), CODEC)
    before, odd, after = found["cursor"]["firstBatch"]
    assert before == after == usual
    assert type(odd) is dict
    assert {name: odd[name] for name in usual if name != at} == {
        name: value for name, value in usual.items() if name != at
    }
    read = account(odd)
    assert (at in read.odd) == (at in ACCOUNT_FIELDS or at == "instagramId")
    assert set(read.odd) <= {at}


@pytest.mark.parametrize("value", ODD_VALUES)
def test_values_beside_it_are_decoded_as_by_the_driver(value: Any) -> None:
    usual = bson.encode({"v": value, "nested": {"list": [value, {"w": value}]}})
    expected = decoded(usual)
    found = decoded(document(named(OLD_BINARY, "first"), usual[4:-1], named(OLD_BINARY, "last")))
    assert isinstance(found.pop("first"), Binary)
    assert isinstance(found.pop("last"), Binary)
    assert repr(found) == repr(expected)  # NaN does not equal itself


@given(
    kind=st.sampled_from([2, 3, 4, 5, 11, 12, 13, 14, 15, *SIZES, 20, 77]),
    content=st.binary(max_size=30),
)
def test_any_bytes_decode_or_are_refused_as_a_whole(kind: int, content: bytes) -> None:
    raw = document(field("before", "x"), bytes([kind]) + b"v\0" + content, field("after", 1))
    try:
        found = bson.decode(raw, CODEC)
    except InvalidBSON:
        return
    assert found["before"] == "x"
