"""The shortcut of the mock database finds what mongomock itself finds."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest

from tests.service.admin_site import _every_match, _matches, mock_mongo

VALUES: list[Any] = [
    "a", "ab", "", None, 5, b"a", True, ["a"], ["b", "a"], [["a"]], [], {"a": "a"}, {"b": "a"},
    [{"b": "a"}], [5, None],
]  # fmt: skip
FILTERS: list[Any] = [
    {"x": "a"}, {"x": ""}, {"x": "z"}, {"x": "5"}, {"x.b": "a"}, {"x": None}, {"x": {"$in": ["a"]}},
    {"x": {"$ne": "a"}}, {"x": "a", "_id": 0}, {"_id": "text"}, {"missing": "a"}, {"_id": 3}, {},
    {"$or": [{"x": "a"}, {"x": 5}]},
]  # fmt: skip


@pytest.mark.parametrize("wanted", FILTERS, ids=repr)
def test_it_finds_the_same(wanted: dict[str, Any]) -> None:
    collection = mock_mongo().db["any"]
    collection.insert_many([{"_id": n, "x": value} for n, value in enumerate(VALUES)])
    collection.insert_many([{"_id": "text", "x": "a"}, {"_id": "without"}])
    assert [*_matches(collection, wanted)] == [*_every_match(collection, wanted)]


def test_a_unique_index_refuses_what_is_there() -> None:
    accounts = mock_mongo().db["instagram_accounts"]
    accounts.insert_many([{"instagramId": "1"}, {"instagramId": "2"}])
    with pytest.raises(mongomock.DuplicateKeyError):
        accounts.insert_one({"instagramId": "1"})
    with pytest.raises(mongomock.DuplicateKeyError):
        accounts.update_one({"instagramId": "1"}, {"$set": {"instagramId": "2"}})
