"""Which of the host platform's indexes serve as well as ours."""

from __future__ import annotations

from typing import Any

import pytest

from dmstats.db.indexes import (
    WANTED,
    WantedIndex,
    conflicting,
    exists,
    unique_on_other_fields,
    unwritable,
)

UNIQUE_ID, PLAIN_ID = (each for each in WANTED if each.field == "instagramId")
PLAIN = WantedIndex("instagram_accounts", "dmUsed")


def index(*fields: str, **options: Any) -> dict[str, Any]:
    return {"name": "host", "key": dict.fromkeys(fields, 1), **options}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (index("dmUsed"), ""),
        (index("dmUsed", unique=True), ""),
        (index("dmUsed", expireAfterSeconds=10**9), ""),
        (index("dmUsed", "createdAt"), ""),
        ({"name": "host", "key": {"dmUsed": -1}}, ""),
        ({"name": "host", "key": {"dmUsed": 1.0}}, ""),
        (index("dmUsed", sparse=True), "leaves documents out"),
        (index("dmUsed", partialFilterExpression={"isActive": True}), "leaves documents out"),
        (index("dmUsed", hidden=True), "is hidden"),
        (index("dmUsed", collation={"locale": "de"}), "has another collation"),
        (index("dmUsed", collation={"locale": "simple"}), ""),
        ({"name": "host", "key": {"dmUsed": "hashed"}}, None),
        (index("createdAt", "dmUsed"), None),
    ],
)
def test_an_index_for_order_and_search(found: dict[str, Any], why: str | None) -> None:
    assert PLAIN.mismatch(found) == why
    assert exists(PLAIN, [index("_id"), found]) is (why == "")


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (index("instagramId", unique=True), ""),
        (index("instagramId", unique=True, sparse=True), ""),
        *(
            (index("instagramId", unique=True, partialFilterExpression={"instagramId": part}), "")
            for part in ({"$exists": True}, {"$gt": ""}, {"$gte": ""})
        ),
        (index("instagramId"), "is not unique"),
        (
            index("instagramId", unique=True, partialFilterExpression={"isActive": True}),
            "leaves documents out",
        ),
        (index("instagramId", "userId", unique=True), None),
    ],
)
def test_an_index_that_lets_an_account_exist_once(found: dict[str, Any], why: str | None) -> None:
    assert UNIQUE_ID.mismatch(found) == why


def test_an_index_has_the_collation_of_its_collection() -> None:
    german = {"locale": "de", "strength": 2}
    own, with_it, without = (
        index("_id", collation=german),
        index("dmUsed", collation=german),
        index("dmUsed"),
    )
    assert exists(PLAIN, [own, with_it])
    assert not exists(PLAIN, [own, without])
    assert conflicting(PLAIN, [own, without]) == ("host", "has another collation")
    assert exists(PLAIN, [index("_id"), without])
    assert not exists(PLAIN, [index("_id"), with_it])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"type": "collection", "options": {}}, ""),
        ({"type": "collection", "options": {"validator": {"a": 1}, "collation": {}}}, ""),
        ({"type": "collection", "options": {"clusteredIndex": {"v": 2}}}, ""),
        ({"type": "collection", "options": {"capped": False}}, ""),
        ({"type": "collection", "options": {"capped": True, "size": 9}}, "capped"),
        ({"type": "view", "options": {"viewOn": "x"}}, "a view"),
        ({"type": "timeseries", "options": {"timeseries": {"timeField": "t"}}}, "time-series"),
    ],
)
def test_what_counting_cannot_write_to(found: dict[str, Any], why: str) -> None:
    assert why in unwritable(found)
    assert bool(unwritable(found)) is bool(why)


def test_a_full_unique_one_is_both_that_are_wanted() -> None:
    assert exists(UNIQUE_ID, [index("instagramId", unique=True)])
    assert exists(PLAIN_ID, [index("instagramId", unique=True)])
    assert UNIQUE_ID.name != PLAIN_ID.name


def test_what_is_in_the_way_is_named() -> None:
    assert conflicting(UNIQUE_ID, [index("instagramId")]) == ("host", "is not unique")
    assert conflicting(UNIQUE_ID, [index("username")]) is None


def test_unique_ones_that_a_new_account_would_fail_are_found() -> None:
    exists = {"userId": {"$exists": True}}
    indexes = [
        index("_id"), index("instagramId", unique=True), index("userId"),
        index("userId", unique=True, sparse=True),
        index("userId", unique=True, partialFilterExpression=exists),
        index("userId", "page", unique=True),
    ]  # fmt: skip
    assert unique_on_other_fields(indexes) == [("host", "userId, page")]
