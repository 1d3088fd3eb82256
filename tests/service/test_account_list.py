"""The list of accounts by filters and any column, its totals, and its export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from flask.testing import FlaskClient

from dmstats.core.clock import DAY_MS, ManualClock, to_datetime
from dmstats.core.errors import StoreUnavailable
from dmstats.db.dashboard.account_directory import AccountDirectory
from dmstats.db.dashboard.state_directory import ALL_SORTS, StateDirectory
from dmstats.web.schema.account_schemas import AccountsAnswer
from tests.service.admin_site import TOKEN, AdminSite
from tests.states import state_pass

LIST, EXPORT = "/api/admin/accounts", "/api/admin/accounts/export"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    """Twelve accounts: 1 to 5 have used 10% to 50% more than 60% of their limit, 6 and 7 are
    inactive, 11 is new and 12 has no name."""
    site = AdminSite(clock)
    now = clock.now_ms()
    site.mongo.db["instagram_accounts"].insert_many(
        {
            "instagramId": f"{n:02}",
            "username": f"shop.{(n * 7) % 12:02}" if n < 12 else None,
            "isActive": n not in (6, 7),
            "createdAt": to_datetime(now - (1 if n == 11 else 100) * DAY_MS),
            "dmUsed": 1000 - n,
            "monthlyDmUsed": 60 + 10 * n if n < 6 else 500 * n,
            "currentMonth": "2026-11" if n < 9 else "2026-10",
            "monthlyDmLimit": 100 if n < 6 else None,
            "dmReceived": n % 3,
            "lastDMSent": to_datetime(now - n * 60_000) if n != 3 else None,
        }
        for n in range(1, 13)
    )
    state_pass(site.mongo, clock)
    return site


@pytest.fixture
def client(site: AdminSite) -> FlaskClient:
    client = site.client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def asked(client: FlaskClient, **query: Any) -> dict[str, Any]:
    answer = client.get(LIST, query_string=query)
    assert answer.status_code == 200, answer.text
    AccountsAnswer().load(answer.get_json())
    found: dict[str, Any] = answer.get_json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [row["instagramId"] for row in found["accounts"]]


def test_it_works(client: FlaskClient) -> None:
    found = asked(client, state="near-limit", sort="-limitUsed")
    assert ids(found) == ["03", "02"]
    assert found["accounts"][0]["states"] == ["near-limit"]
    totals = found["totals"]
    assert (totals["accounts"], totals["monthlyDmUsed"], totals["dmUsed"]) == (2, 170, 1995)
    assert totals["at"] == "2026-11-15T12:34:56.000Z"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "over-limit"}, ["04", "05"]),
        ({"state": "new"}, ["11"]),
        ({"state": "silent"}, []),
        ({"active": "false"}, ["06", "07"]),
        ({"hasLimit": "true"}, ["01", "02", "03", "04", "05"]),
        ({"hasLimit": "true", "state": "over-limit", "active": "true"}, ["04", "05"]),
        ({"hasLimit": "false", "active": "false", "query": "shop"}, ["06", "07"]),
        (
            {"active": "true", "query": "p.0", "hasLimit": "true", "sort": "username"},
            ["02", "04", "01", "03"],
        ),
    ],
)
def test_filters(client: FlaskClient, query: dict[str, str], expected: list[str]) -> None:
    found = asked(client, **{"sort": "instagramId"} | query)
    assert ids(found) == expected
    assert found["totals"]["accounts"] == len(found["accounts"])


@pytest.mark.parametrize("sort", [sign + name for name in ALL_SORTS for sign in ("", "-")])
@pytest.mark.parametrize("query", [{}, {"hasLimit": "false"}, {"query": "shop"}])
def test_every_sort_pages_through_all(
    client: FlaskClient, sort: str, query: dict[str, str]
) -> None:
    whole = ids(asked(client, sort=sort, **query))
    paged: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = asked(client, sort=sort, limit=2, **query, **cursor)
        paged += ids(page)
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert paged == whole
    assert len(set(whole)) == len(whole) == {"hasLimit": 7, "query": 11, "": 12}["".join(query)]


def test_the_order_of_each_column(client: FlaskClient) -> None:
    assert ids(asked(client, sort="-monthlyDmUsed"))[:3] == ["08", "07", "06"]
    assert ids(asked(client, sort="-limitUsed"))[:5] == ["05", "04", "03", "02", "01"]
    assert ids(asked(client, sort="-lastDMSent"))[-2:] == ["12", "03"]
    assert ids(asked(client, sort="-dmReceived"))[:4] == ["11", "08", "05", "02"]
    assert ids(asked(client, sort="-createdAt"))[0] == "11"
    assert ids(asked(client, sort="username", hasLimit="false"))[-1] == "12"


def test_a_search_anywhere_in_a_name(client: FlaskClient) -> None:
    assert ids(asked(client, query="p.07")) == ["01"]
    assert asked(client, query="P.07")["totals"]["dmUsed"] == 999
    assert asked(client, query="unheard")["totals"]["accounts"] == 0


def test_a_search_that_takes_too_long_finds_what_begins_with_it(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_slow(*_: Any) -> Any:
        return [], False

    monkeypatch.setattr(AccountDirectory, "_containing", too_slow)
    found = asked(client, query="shop.07")
    assert (ids(found), found["complete"]) == (["01"], False)


def test_figures_are_of_now_and_the_totals_of_the_last_pass(
    site: AdminSite, client: FlaskClient, clock: ManualClock
) -> None:
    site.mongo.db["instagram_accounts"].update_one({"instagramId": "01"}, {"$inc": {"dmUsed": 5}})
    before = asked(client, state="over-limit")
    assert asked(client, hasLimit="true", sort="instagramId")["accounts"][0]["dmUsed"] == 1004
    assert asked(client)["totals"]["dmUsed"] == sum(1000 - n for n in range(1, 13))
    clock.advance(20 * 86_400)
    assert asked(client)["totals"]["monthlyDmUsed"] is None
    assert ids(asked(client, state="over-limit")) == ids(before)


def test_an_account_deleted_since_the_last_pass_is_left_out(
    site: AdminSite, client: FlaskClient
) -> None:
    site.mongo.db["instagram_accounts"].delete_one({"instagramId": "04"})
    assert ids(asked(client, state="over-limit")) == ["05"]


def test_before_the_first_pass(site: AdminSite, client: FlaskClient) -> None:
    for name in ("stats_cache", "dmstats_account_states"):
        site.mongo.db[name].delete_many({})
    found = asked(client)
    assert (len(found["accounts"]), found["totals"]) == (12, None)
    assert found["accounts"][0]["states"] is None
    for url, query in ((LIST, {"sort": "-limitUsed"}), (EXPORT, {"state": "silent"})):
        answer = client.get(url, query_string=query)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert len(rows(client)) == 12


@pytest.mark.parametrize(
    "query", [{"state": "fine"}, {"active": "maybe"}, {"hasLimit": "2"}, {"sort": "-userId"}]
)
def test_bad_filters(client: FlaskClient, query: dict[str, str]) -> None:
    answer = client.get(LIST, query_string=query)
    assert answer.status_code == 400
    assert answer.get_json()["detail"].startswith(next(iter(query)))


def test_a_cursor_belongs_to_its_filter(client: FlaskClient) -> None:
    cursor = asked(client, active="true", limit=2)["nextCursor"]
    for other in ({}, {"active": "false"}, {"active": "true", "hasLimit": "true"}):
        answer = client.get(LIST, query_string={"cursor": cursor, **other})
        assert answer.status_code == 400


def rows(client: FlaskClient, **query: str) -> list[dict[str, str]]:
    answer = client.get(EXPORT, query_string=query)
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="dmstats-accounts-2026-11-15.csv"'
    )
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_export(client: FlaskClient) -> None:
    found = {row["instagramId"]: row for row in rows(client)}
    assert len(found) == 12
    assert found['="04"'] | {"username": ""} == {
        "instagramId": '="04"', "username": "", "isActive": "true", "states": "over-limit",
        "monthlyDmUsed": "100", "monthlyDmLimit": "100", "limitReachedAt": "", "dmUsed": "996",
        "dmReceived": "1", "lastDMSent": "2026-11-15T12:30:56.000Z", "lastDMReceived": "",
        "createdAt": "2026-08-07T12:34:56.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "number"),
    [({"state": "over-limit"}, 2), ({"active": "false"}, 2), ({"query": "shop"}, 11),
     ({"query": "shop", "hasLimit": "true"}, 5), ({"query": "p.07"}, 1)],
)  # fmt: skip
def test_the_export_of_a_filter(client: FlaskClient, query: dict[str, str], number: int) -> None:
    assert len(rows(client, **query)) == number


def test_the_export_as_json(site: AdminSite, client: FlaskClient) -> None:
    answer = client.get(EXPORT, query_string={"format": "json"})
    found = answer.get_json()
    assert (found["at"], found["complete"]) == ("2026-11-15T12:34:56.000Z", True)
    assert sorted(row["instagramId"] for row in found["accounts"]) == sorted(
        f"{n:02}" for n in range(1, 13)
    )
    site.mongo.db["instagram_accounts"].delete_many({})
    assert client.get(EXPORT, query_string={"format": "json"}).get_json()["accounts"] == []


def test_names_that_a_spreadsheet_would_run(site: AdminSite, client: FlaskClient) -> None:
    names = [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "  =x",
        'a"b,c',
        "\t=x",
        "\u00a0=x",
        "\u200b=x",
        "\uff1d1+1",
        "x;=1",
        "x; \uff0b1;y",
        "x\u2028=1",
        "x;y-z=1",
    ]
    site.mongo.db["instagram_accounts"].insert_many(
        {"instagramId": f"id{n}", "username": name} for n, name in enumerate(names)
    )
    found = {row["instagramId"]: row["username"] for row in rows(client)}
    assert [found[f"id{n}"] for n in range(len(names))] == [
        "'=1+1", "'+x", "'-x", "'@x", "'  =x", 'a"b,c', "'\t=x", "'\u00a0=x", "'\u200b=x",
        "'\uff1d1+1", "x;'=1", "x;' \uff0b1;y", "x\u2028'=1", "x;y-z=1",
    ]  # fmt: skip


def test_a_line_in_a_name_begins_no_formula(site: AdminSite, client: FlaskClient) -> None:
    accounts = site.mongo.db["instagram_accounts"]
    accounts.insert_many(
        {"instagramId": name, "username": name} for name in ("\n=1", "x\n=1", "x\r=1")
    )
    found = client.get(EXPORT, query_string={"format": "csv"}).text
    assert "\n=1" not in found
    assert "\r=1" not in found


def test_an_export_is_sent_as_it_is_read(
    site: AdminSite, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.mongo.db["instagram_accounts"].insert_many(
        {"instagramId": f"x{n:04}", "createdAt": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(n)}
        for n in range(1000)
    )
    reads: list[int] = []
    of = StateDirectory.of

    def watched(directory: StateDirectory, names: list[str]) -> Any:
        reads.append(len(names))
        if len(reads) == 5:
            raise StoreUnavailable("MongoDB does not answer")
        return of(directory, names)

    monkeypatch.setattr(StateDirectory, "of", watched)
    answer = client.get(EXPORT, query_string={"format": "json"}, buffered=False)
    pieces: list[bytes] = []
    # What is broken off must not look whole: the connection ends without the last piece.
    with pytest.raises(StoreUnavailable):
        pieces.extend(cast("Iterable[bytes]", answer.response))
    assert reads == [200] * 5
    assert len(pieces) > 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(b"".join(pieces))


@pytest.mark.parametrize("key", [{"a": 1}, 7, b"7", None], ids=repr)
def test_states_of_no_account_break_nothing(
    site: AdminSite, client: FlaskClient, clock: ManualClock, key: Any
) -> None:
    """As after a bad restore, until the next pass."""
    collection = site.mongo.db["dmstats_account_states"]
    usual = collection.find_one({"_id": "02"}) or {}
    collection.insert_one({**usual, "_id": key})
    for column in ALL_SORTS:
        for sign in ("", "-"):
            found = asked(client, state="near-limit", sort=sign + column)
            assert sorted(ids(found)) == ["02", "03"]
    assert ids(asked(client, state="near-limit", query="02")) == ["02"]
    exported = client.get(EXPORT, query_string={"format": "json", "state": "near-limit"})
    assert len(json.loads(exported.text)["accounts"]) == 2
    state_pass(site.mongo, clock)
    assert collection.count_documents({}) == 12
