"""The shortcut of the mock database finds what mongomock itself finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest
from mongomock import helpers

from tests.service.admin_site import _every_match, _matches, mock_mongo

NOON = datetime(2026, 11, 15, 12, tzinfo=UTC)
VALUES: list[Any] = [
    "a", "ab", "", None, 5, b"a", True, ["a"], ["b", "a"], [["a"]], [], {"a": "a"}, {"b": "a"},
    [{"b": "a"}], [5, None], NOON, [NOON], NOON + timedelta(1),
]  # fmt: skip
FILTERS: list[Any] = [
    {"x": "a"}, {"x": ""}, {"x": "z"}, {"x": "5"}, {"x.b": "a"}, {"x": None}, {"x": {"$in": ["a"]}},
    {"x": {"$ne": "a"}}, {"x": "a", "_id": 0}, {"_id": "text"}, {"missing": "a"}, {"_id": 3}, {},
    {"$or": [{"x": "a"}, {"x": 5}]}, {"x": b"a"}, {"x": {"$in": ["ab", "z", b"a"]}},
    {"x": {"$in": ["a", None]}}, {"x": {"$in": []}}, {"x": {"$in": ["a"], "$ne": "b"}},
    {"x": {"$in": [["a"]]}}, {"x": {"$nin": ["a"]}}, {"x.b": {"$in": ["a"]}},
    {"_id": {"$in": ["text", "z"]}}, {"x": NOON},
    {"x": NOON.replace(tzinfo=None)}, {"x": NOON + timedelta(microseconds=999)},
    {"x": {"$in": [NOON.astimezone(timezone(timedelta(hours=1))), "ab"]}},
]  # fmt: skip


@pytest.mark.parametrize("wanted", FILTERS, ids=repr)
def test_it_finds_the_same(wanted: dict[str, Any]) -> None:
    collection = mock_mongo().db["any"]
    collection.insert_many([{"_id": n, "x": value} for n, value in enumerate(VALUES)])
    collection.insert_many([{"_id": "text", "x": "a"}, {"_id": "without"}])
    patched: Any = helpers.patch_datetime_awareness_in_document  # which each filter goes through
    wanted = patched(wanted)
    assert [*_matches(collection, wanted)] == [*_every_match(collection, wanted)]


def test_a_unique_index_refuses_what_is_there() -> None:
    accounts = mock_mongo().db["instagram_accounts"]
    accounts.insert_many([{"instagramId": "1"}, {"instagramId": "2"}])
    with pytest.raises(mongomock.DuplicateKeyError):
        accounts.insert_one({"instagramId": "1"})
    with pytest.raises(mongomock.DuplicateKeyError):
        accounts.update_one({"instagramId": "1"}, {"$set": {"instagramId": "2"}})
