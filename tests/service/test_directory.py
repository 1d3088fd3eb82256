from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmstats.db.dashboard.account_directory import (
    SEARCH_BOUND,
    AccountDirectory,
    AccountPage,
)
from dmstats.db.dashboard.account_order import SORTS, Position, Sort
from tests.service.admin_site import mock_mongo

MOMENTS = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
ACCOUNT = st.fixed_dictionaries(
    {},
    optional={
        "dmUsed": st.one_of(st.none(), st.integers(0, 3)),
        "createdAt": st.sampled_from(MOMENTS),
        "username": st.one_of(st.none(), st.sampled_from(["a", "ab", "abc", "b", "1a"])),
    },
)
SORT = st.builds(Sort, st.sampled_from(SORTS), st.booleans())


def directory(accounts: list[dict[str, Any]]) -> AccountDirectory:
    mongo = mock_mongo()
    if accounts:
        mongo.db["instagram_accounts"].insert_many(accounts)
    return AccountDirectory(mongo)


def numbered(accounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Not in the order of insertion: what comes out must be sorted, not left as it was.
    return [{"instagramId": f"{(n * 7) % 23:02}", **account} for n, account in enumerate(accounts)]


def in_order(accounts: list[dict[str, Any]], sort: Sort) -> list[str]:
    by_id = sorted(accounts, key=lambda account: account["instagramId"])
    known = [account for account in by_id if account.get(sort.field) is not None]
    unknown = [account for account in by_id if account.get(sort.field) is None]
    known.sort(key=lambda account: account[sort.field], reverse=sort.descending)
    return [account["instagramId"] for account in known + unknown]


def walk(page_after: Any, limit: int) -> list[str]:
    """The ids of all pages, one after the other."""
    seen: list[str] = []
    after: Position | None = None
    while True:
        page: AccountPage = page_after(after)
        assert len(page.accounts) <= limit
        assert len(seen) < 100, "the pages go round in circles"
        seen += [account.instagram_id for account in page.accounts]
        if page.after is None:
            return seen
        assert len(page.accounts) == limit, "only the last page may be short"
        after = page.after


def test_it_works() -> None:
    accounts = directory(numbered([{"dmUsed": 1}, {"dmUsed": 5}, {}]))
    page = accounts.page(Sort("dmUsed", True), None, 10)
    assert [account.dm_used for account in page.accounts] == [5, 1, 0]
    assert page.after is None
    found = accounts.one("07")
    assert found is not None
    assert (found.instagram_id, found.dm_used, found.odd) == ("07", 5, ())
    assert accounts.one("99") is None


@settings(max_examples=60)
@given(st.lists(ACCOUNT, max_size=23), SORT, st.integers(1, 6))
def test_pages_hold_every_account_once_in_order(
    accounts: list[dict[str, Any]], sort: Sort, limit: int
) -> None:
    stored = numbered(accounts)
    expected = in_order(stored, sort)
    found = directory(stored)
    assert walk(lambda after: found.page(sort, after, limit), limit) == expected


@pytest.mark.parametrize("field", ["dmUsed", "createdAt", "username"])
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_a_page_may_cut_a_large_group_of_equals(field: str, limit: int) -> None:
    values: dict[str, list[Any]] = {
        "dmUsed": [0, 1], "createdAt": MOMENTS[:2], "username": ["a", "b"],
    }  # fmt: skip
    stored = numbered([{field: values[field][n // 15]} for n in range(23)])
    found = directory(stored)
    for sort in (Sort(field, False), Sort(field, True)):
        pages = walk(lambda after, sort=sort: found.page(sort, after, limit), limit)
        assert pages == in_order(stored, sort)


@settings(max_examples=60)
@given(
    st.lists(ACCOUNT, max_size=23),
    SORT,
    st.integers(1, 6),
    st.sampled_from(["a", "ab", "b", "1", "0"]),
)
def test_a_search_pages_through_its_matches(
    accounts: list[dict[str, Any]], sort: Sort, limit: int, text: str
) -> None:
    stored = numbered(accounts)
    matches = [
        account
        for account in stored
        if text in (account.get("username") or "")
        or (text.isdecimal() and account["instagramId"].startswith(text))
    ]
    found = directory(stored)
    rows, complete = found.matches(text)
    assert complete
    pages = walk(lambda after: found.cut(rows, sort, after, limit), limit)
    assert pages == in_order(matches, sort)


def test_a_search_looks_at_so_many_and_says_so() -> None:
    many = [{"instagramId": f"{n:04}", "username": f"shop{n:04}"} for n in range(SEARCH_BOUND + 1)]
    found = directory(many)
    assert found.matches("shop")[1] is False
    assert found.matches("hop")[1] is False
    assert found.matches("shop00")[1] is True
    assert [row["username"] for row in found.matches("P0042")[0]] == ["shop0042"]


@pytest.mark.parametrize("text", ["", "@"])
def test_an_empty_search_is_bounded(text: str) -> None:
    found = directory([{"instagramId": str(n), "username": f"n{n}"} for n in range(30)])
    assert len(found.cut(found.matches(text)[0], Sort("username", False), None, 10).accounts) == 10


def test_an_account_that_moved_up_between_pages_breaks_nothing() -> None:
    mongo = mock_mongo()
    collection = mongo.db["instagram_accounts"]
    collection.insert_many([{"instagramId": str(n), "dmUsed": n} for n in range(6)])
    found = AccountDirectory(mongo)
    first = found.page(Sort(), None, 2)
    collection.update_one({"instagramId": "4"}, {"$set": {"dmUsed": 100}})
    second = found.page(Sort(), first.after, 2)
    assert [account.instagram_id for account in second.accounts] == ["3", "2"]


def test_arrays_and_repeated_ids_displace_no_account() -> None:
    mongo = mock_mongo()
    mongo.db["instagram_accounts"].drop_indexes()
    stored = ({"instagramId": each} for each in (["1", "2"], ["2"], "1", "1", "2"))
    mongo.db["instagram_accounts"].insert_many(stored)
    found = AccountDirectory(mongo).many(["2", "1", "3"])
    assert [each.instagram_id for each in found] == ["2", "1"]
