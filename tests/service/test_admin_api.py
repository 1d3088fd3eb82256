from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from dmstats.audit.account_activity import ActivityBuckets
from dmstats.core.clock import (
    DAY_MS,
    HOUR_MS,
    ManualClock,
    day_start,
    hour_start,
    rfc3339,
    to_datetime,
    to_ms,
)
from dmstats.db.admins.scopes import Scope
from dmstats.db.audit.activity_store import ActivityWriter
from dmstats.db.documents import Account
from dmstats.db.states.state_record import HourCount
from dmstats.states.rules import state_of
from dmstats.web.schema.account_schemas import AccountsAnswer
from dmstats.web.schema.api_schemas import (
    AccountAnswer,
    ActivityAnswer,
    CronAnswer,
    RefreshAnswer,
)
from dmstats.web.schema.history_schemas import HistoryAnswer
from tests.service.admin_site import CRON, TOKEN, AdminSite, bearer

STATS, REFRESH = "/api/admin/stats", "/api/admin/stats/refresh"
ACCOUNTS, CRON_URL = "/api/admin/accounts", "/api/cron/refresh-admin-stats"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)


@pytest.fixture
def client(site: AdminSite) -> FlaskClient:
    client = site.client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def add(site: AdminSite, *accounts: dict[str, Any]) -> None:
    site.mongo.db["instagram_accounts"].insert_many(accounts)


def ids(answer: Any) -> list[str]:
    return [account["instagramId"] for account in answer.get_json()["accounts"]]


def test_it_works(client: FlaskClient) -> None:
    answer = client.get(STATS)
    assert (answer.status_code, answer.get_json()) == (200, {"version": "1-7"})
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_a_client_that_has_the_snapshot_gets_304(site: AdminSite, client: FlaskClient) -> None:
    etag = client.get(STATS).headers["ETag"]
    again = client.get(STATS, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == etag
    assert again.headers["Cache-Control"] == "private, no-cache"
    site.stats.version = "1-8"
    assert client.get(STATS, headers={"If-None-Match": etag}).get_json() == {"version": "1-8"}


def test_a_refresh(site: AdminSite, client: FlaskClient) -> None:
    answer = client.post(REFRESH)
    assert answer.status_code == 202
    RefreshAnswer().load(answer.get_json())
    assert answer.get_json()["version"] == "1-8"
    assert site.stats.refreshes == [True]


def test_inside_the_publish_limit_nothing_is_refreshed(
    site: AdminSite, client: FlaskClient
) -> None:
    site.stats.wait = 6.3
    answer = client.post(REFRESH)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.mimetype == "application/problem+json"
    assert site.stats.refreshes == []
    site.stats.wait, site.stats.rate_limited = 0.0, True
    lost = client.post(REFRESH)
    assert (lost.status_code, lost.headers["Retry-After"]) == (429, "8")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_cron_route(site: AdminSite, method: str) -> None:
    site.stats.wait, site.stats.rate_limited = 5.0, True
    answer = site.client().open(CRON_URL, method=method, headers=bearer(CRON))
    assert answer.status_code == 200
    assert answer.get_json() == {
        "success": True, "version": "1-8", "published": False, "rateLimited": True,
        "computeMs": 4.1, "dbQueries": 5,
    }  # fmt: skip
    CronAnswer().load(answer.get_json())
    assert site.stats.refreshes == [True], "refreshes always"


@pytest.mark.parametrize("sent", [{}, bearer("wrong"), bearer(TOKEN), {"X-Cron-Secret": CRON}])
def test_the_cron_route_wants_its_own_secret(site: AdminSite, sent: dict[str, str]) -> None:
    answer = site.client().get(CRON_URL, headers=sent)
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers
    assert site.stats.refreshes == []


def test_without_a_cron_secret_the_route_is_shut(clock: ManualClock) -> None:
    client = AdminSite(clock, cron_secret=None).client()
    for sent in (CRON, "", "None"):
        assert client.get(CRON_URL, headers=bearer(sent)).status_code == 401


def test_one_account(site: AdminSite, client: FlaskClient, clock: ManualClock) -> None:
    now = to_datetime(clock.now_ms())
    add(
        site,
        {
            "instagramId": "17841", "username": "shop", "userId": "u1", "isActive": True,
            "createdAt": now, "dmUsed": 7, "monthlyDmUsed": 3, "currentMonth": "2026-11",
            "lastDMSent": now, "dmReceived": 2, "monthlyDmLimit": 100, "accessToken": "EAAG",
        },
    )  # fmt: skip
    answer = client.get(f"{ACCOUNTS}/17841")
    AccountAnswer().load(answer.get_json())
    found = site.mongo.db["instagram_accounts"].find_one() or {}
    assert answer.get_json() == {
        "documentId": str(found["_id"]), "needsAttention": [],
        "instagramId": "17841", "username": "shop", "isActive": True,
        "createdAt": "2026-11-15T12:34:56.000Z", "dmUsed": 7, "monthlyDmUsed": 3,
        "currentMonth": "2026-11", "lastDMSent": "2026-11-15T12:34:56.000Z", "dmReceived": 2,
        "lastDMReceived": None, "monthlyDmLimit": 100, "limitReachedAt": None, "states": None,
        "deauthorizedAt": None, "deletionAskedAt": None, "hourlyUse": None,
    }  # fmt: skip
    missing = client.get(f"{ACCOUNTS}/17842")
    assert (missing.status_code, missing.mimetype) == (404, "application/problem+json")


def test_the_hourly_use_of_an_account(
    site: AdminSite, client: FlaskClient, clock: ManualClock
) -> None:
    """As the last pass has seen it, and what was sent since then."""
    hour = clock.now_ms() // HOUR_MS
    add(site, {"instagramId": "1", "dmUsed": 1150})
    states = site.mongo.db["dmstats_account_states"]

    def asked(*kept: Any) -> Any:
        state = msgspec.structs.replace(state_of(Account(), None, 0), hour=HourCount(*kept))
        states.replace_one({"_id": "1"}, {"kept": state.packed()}, upsert=True)
        answer = client.get(f"{ACCOUNTS}/1").get_json()
        AccountAnswer().load(answer)
        return answer["hourlyUse"]

    clock.advance(1800 - clock.now_ms() % HOUR_MS / 1000)
    found = asked(hour, 1000, 30, 1100)
    start = hour * HOUR_MS
    assert found == {
        "at": rfc3339(start), "sent": 150, "before": 30, "limit": 200,
        "limitReachedAt": rfc3339(start + 40 * 60_000),
    }  # fmt: skip
    found = asked(hour - 1, 1000, 30, 1100)
    assert (found["sent"], found["before"], found["limitReachedAt"]) == (0, 100, None)
    states.delete_many({})
    assert client.get(f"{ACCOUNTS}/1").get_json()["hourlyUse"] is None


def test_the_default_monthly_limit(clock: ManualClock) -> None:
    site = AdminSite(clock, monthly_dm_limit=50)
    add(site, {"instagramId": "1"}, {"instagramId": "2", "monthlyDmLimit": 7})
    client = site.client()
    shown = client.get(ACCOUNTS, headers=bearer(TOKEN)).get_json()["accounts"]
    assert {row["instagramId"]: row["monthlyDmLimit"] for row in shown} == {"1": 50, "2": 7}
    assert client.get(f"{ACCOUNTS}/1", headers=bearer(TOKEN)).get_json()["monthlyDmLimit"] == 50


def test_an_account_with_nothing_but_its_id(site: AdminSite, client: FlaskClient) -> None:
    add(site, {"instagramId": "1"})
    answer = client.get(f"{ACCOUNTS}/1").get_json()
    AccountAnswer().load(answer)
    assert (answer["dmUsed"], answer["isActive"], answer["createdAt"]) == (0, True, None)


def test_values_that_cannot_be_read_are_unknown(site: AdminSite, client: FlaskClient) -> None:
    odd = {
        "dmUsed": "many", "monthlyDmUsed": 1.5, "currentMonth": 11, "monthlyDmLimit": "unlimited",
        "username": 5, "isActive": "no", "createdAt": "yesterday", "lastDMSent": 1795722155000,
    }  # fmt: skip
    add(site, {"instagramId": "1", "dmReceived": 2, **odd})
    answer = client.get(f"{ACCOUNTS}/1").get_json()
    AccountAnswer().load(answer)
    assert sorted(answer["needsAttention"]) == sorted(odd)
    assert (answer["dmUsed"], answer["dmReceived"], answer["isActive"]) == (None, 2, True)
    assert (answer["currentMonth"], answer["monthlyDmUsed"]) == ("2026-11", 0)
    unknown = ("monthlyDmLimit", "username", "createdAt", "lastDMSent")
    assert [answer[field] for field in unknown] == [None] * 4


def test_an_id_that_is_a_number_is_shown_and_found(site: AdminSite, client: FlaskClient) -> None:
    add(site, {"instagramId": 17841400000000100, "username": "n"}, {"username": "pending"})
    shown = client.get(ACCOUNTS).get_json()["accounts"]
    assert [row["instagramId"] for row in shown] == ["17841400000000100", ""]
    assert all(row["needsAttention"] == ["instagramId"] for row in shown)
    assert client.get(f"{ACCOUNTS}/17841400000000100").get_json()["username"] == "n"
    found = client.get(f"{ACCOUNTS}?query=178414").get_json()["accounts"]
    assert [row["username"] for row in found] == ["n"]


def test_a_limit_of_zero_is_a_limit(site: AdminSite, client: FlaskClient) -> None:
    add(site, *({"instagramId": str(n), "monthlyDmLimit": n} for n in (0, 1)))
    add(site, {"instagramId": "2", "monthlyDmLimit": "1000"}, {"instagramId": "3"})
    shown = client.get(f"{ACCOUNTS}?sort=instagramId").get_json()["accounts"]
    assert [row["monthlyDmLimit"] for row in shown] == [0, 1, 1000, None]


def test_last_months_use_is_not_this_months(site: AdminSite, client: FlaskClient) -> None:
    add(site, {"instagramId": "1", "dmUsed": 9, "monthlyDmUsed": 9, "currentMonth": "2026-10"})
    answer = client.get(f"{ACCOUNTS}/1").get_json()
    assert (answer["monthlyDmUsed"], answer["currentMonth"]) == (0, "2026-11")
    assert answer["dmUsed"] == 9


def test_pages(site: AdminSite, client: FlaskClient) -> None:
    add(site, *({"instagramId": str(100 + n), "dmUsed": n // 3} for n in range(10)))
    first = client.get(ACCOUNTS, query_string={"limit": 4})
    AccountsAnswer().load(first.get_json())
    assert ids(first) == ["109", "106", "107", "108"]
    second = client.get(
        ACCOUNTS, query_string={"limit": 4, "cursor": first.get_json()["nextCursor"]}
    )
    third = client.get(
        ACCOUNTS, query_string={"limit": 4, "cursor": second.get_json()["nextCursor"]}
    )
    assert ids(second) + ids(third) == ["103", "104", "105", "100", "101", "102"]
    assert third.get_json()["nextCursor"] is None


def test_search(site: AdminSite, client: FlaskClient) -> None:
    names = {"1": "alpha", "2": "alphabet", "3": "beta", "12": "12monkeys", "121": None}
    add(site, *({"instagramId": key, "username": name} for key, name in names.items()))

    def found(query: str) -> list[str]:
        return ids(client.get(ACCOUNTS, query_string={"query": query}))

    assert found("@Alpha") == ["1", "2"]
    assert found("alphab") == ["2"]
    assert found("12") == ["12", "121"]
    assert found(".*") == []
    assert found("[$ne]") == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"sort": "lastDMReceived"}, "sort"),
        ({"sort": "$where"}, "sort"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"query": "x" * 101}, "query"),
        ({"query": "a\x00b"}, "query"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "WzFd.\u00e9"}, "cursor"),
        ({"query[$ne]": "x"}, "query[$ne]"),
        ({"page": "2"}, "page"),
        ({"sort": ["dmUsed", "-dmUsed"]}, "sort"),
    ],
)
def test_bad_queries_say_what_is_bad(client: FlaskClient, asked: dict[str, Any], said: str) -> None:
    answer = client.get(ACCOUNTS, query_string=asked)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.get_json()["detail"].startswith(said)


def test_a_cursor_belongs_to_its_list(site: AdminSite, client: FlaskClient) -> None:
    add(site, *({"instagramId": str(n), "dmUsed": n} for n in range(4)))
    cursor = client.get(ACCOUNTS, query_string={"limit": 2}).get_json()["nextCursor"]
    for other in ({"sort": "dmUsed"}, {"query": "1"}):
        answer = client.get(ACCOUNTS, query_string=other | {"cursor": cursor})
        assert answer.status_code == 400
        assert "start again" in answer.get_json()["detail"]
    tampered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    assert client.get(ACCOUNTS, query_string={"cursor": tampered}).status_code == 400


def activity(client: FlaskClient, account: str) -> Any:
    return client.get(f"{ACCOUNTS}/{account}/activity", headers=bearer(TOKEN))


def publish(site: AdminSite, spread: ActivityBuckets, *, since_ms: int) -> None:
    draft = ActivityWriter(site.mongo, "pass")
    counts = {"hours": spread.hour_count, "days": spread.day_count}
    draft.keep("", spread.at_ms, since_ms, spread.accounts(), {}, **counts)
    assert draft.publish([], spread.at_ms)


def test_an_accounts_activity_before_the_first_audit(site: AdminSite, client: FlaskClient) -> None:
    add(site, {"instagramId": "17"})
    answer = activity(client, "17")
    assert answer.get_json() == {"at": None, "hours": [], "days": [], "hourlyDmLimit": 200}
    assert ActivityAnswer().load(answer.get_json())


def test_an_accounts_activity(site: AdminSite, client: FlaskClient, clock: ManualClock) -> None:
    add(site, {"instagramId": "17"})
    now = clock.now_ms()
    spread = ActivityBuckets(now, day_start(now) - DAY_MS)
    spread.add(hour_start(now), {("17", "2026-11"): (3, 2)})
    publish(site, spread, since_ms=now - HOUR_MS)
    answer = activity(client, "17").get_json()
    assert ActivityAnswer().load(answer)
    assert answer["at"] == rfc3339(now)
    assert answer["hours"][-1] == {"at": rfc3339(hour_start(now)), "sent": 3, "received": 2}
    assert answer["hours"][0] == {
        "at": rfc3339(hour_start(now) - 23 * HOUR_MS), "sent": None, "received": None,
    }  # fmt: skip
    assert (len(answer["hours"]), len(answer["days"])) == (24, 7)


def test_an_accounts_history(site: AdminSite, client: FlaskClient, clock: ManualClock) -> None:
    add(site, {"instagramId": "17"})
    url = f"{ACCOUNTS}/17/history"
    early = client.get(url, headers=bearer(TOKEN))
    assert (early.status_code, early.headers["Retry-After"]) == (503, "60")
    now = clock.now_ms()
    spread = ActivityBuckets(now, day_start(now) - DAY_MS)
    spread.add(hour_start(now), {("17", "2026-11"): (3, 2)})
    publish(site, spread, since_ms=day_start(now) - DAY_MS)
    db = site.mongo.db
    db["dmstats_ledger_archive"].insert_one(
        {"_id": "accountDays", "since": datetime(2026, 10, 1, tzinfo=UTC)}
    )
    db["dmstats_account_days"].insert_one({"_id": "17:2026-11", "sent": {"9": 5}, "received": {}})
    answer = client.get(f"{url}?range=7d", headers=bearer(TOKEN))
    found = answer.get_json()
    assert HistoryAnswer().load(found)
    assert [point["sent"] for point in found["points"]] == [5, 0, 0, 0, 0, 0, 3]
    assert found["computedAt"] == rfc3339(now)
    assert found["since"] == "2026-10-01T00:00:00.000Z"
    assert answer.headers["Content-Disposition"] == (
        'inline; filename="dmstats-17-2026-11-09-to-2026-11-15-by-day.json"'
    )
    text = client.get(f"{url}?range=today&format=csv", headers=bearer(TOKEN))
    assert text.data.startswith(b"\xef\xbb\xbfat,local,sent,received,partial\r\n")
    for wrong in ("range=hour", "unit=minute", "tz=UTC", "range=7d&unit=hour", "band=perhaps"):
        refused = client.get(f"{url}?{wrong}", headers=bearer(TOKEN))
        assert (wrong, refused.status_code) == (wrong, 400)
    assert client.get(f"{ACCOUNTS}/404/history", headers=bearer(TOKEN)).status_code == 404


def test_an_accounts_history_says_what_was_usual_and_what_happened(
    site: AdminSite, client: FlaskClient, clock: ManualClock
) -> None:
    add(site, {"instagramId": "17"})
    now = clock.now_ms()
    publish(site, ActivityBuckets(now, day_start(now)), since_ms=day_start(now))
    db = site.mongo.db
    db["dmstats_ledger_archive"].insert_one(
        {"_id": "accountDays", "since": datetime(2026, 9, 1, tzinfo=UTC)}
    )
    for month, days in (("2026-09", {"5": 9, "12": 7, "19": 8, "26": 9}),
                        ("2026-10", {"3": 8, "10": 8, "17": 9, "24": 7, "31": 8}),
                        ("2026-11", {"7": 8, "14": 90})):  # fmt: skip
        db["dmstats_account_days"].insert_one({"_id": f"17:{month}", "sent": days, "received": {}})
    site.annotations.store.add(to_ms(datetime(2026, 11, 14, 9, tzinfo=UTC)), "launch", "ada@x.com")
    url = f"{ACCOUNTS}/17/history?from=2026-11-13&to=2026-11-15&unit=day&band=true&annotations=true"
    found = client.get(url, headers=bearer(TOKEN)).get_json()
    assert HistoryAnswer().load(found)
    assert found["band"]["points"][1]["sent"] == {
        "median": 8, "low": 0, "high": 17, "outside": "above",
    }  # fmt: skip
    assert [each["text"] for each in found["annotations"]] == ["launch"]
    saved = client.get(f"{url}&format=csv", headers=bearer(TOKEN)).data.decode("utf-8-sig")
    row = list(csv.DictReader(io.StringIO(saved)))[1]
    assert (row["expected_sent_outside"], row["annotations"]) == ("above", "launch")


def test_annotations_of_an_accounts_history_need_the_scope_of_annotations(site: AdminSite) -> None:
    add(site, {"instagramId": "17"})
    asked = {"name": "a script", "scopes": [Scope.ACCOUNTS], "days": 1}
    secret = site.signed_in().post("/api/admin/tokens", json=asked).get_json()["secret"]
    client = site.client()
    answer = client.get(f"{ACCOUNTS}/17/history?annotations=true", headers=bearer(secret))
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
    assert "read-figures" in answer.get_json()["detail"]
    assert client.get(f"{ACCOUNTS}/17/history", headers=bearer(secret)).status_code == 503


def test_the_activity_of_an_unknown_account(client: FlaskClient) -> None:
    assert activity(client, "404").status_code == 404
