"""Meta's requests about users: to delete data, and that access was withdrawn."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from dmstats.core.clock import HOUR_MS, ManualClock, rfc3339, to_datetime
from dmstats.db.account_edits import AccountEdits
from tests.service.admin_site import TOKEN, AdminSite, bearer
from tests.unit.core.test_signed_request import GOOD, signed

DELETE, WITHDRAW = "/api/meta/data-deletion", "/api/meta/deauthorize"
ACCOUNT = "17841400000000001"
SECRET = "app-secret-of-the-test"
AN_HOUR_AGO = to_datetime(1_795_000_000_000 - HOUR_MS)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_795_000_000_000)


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    site = AdminSite(clock, meta_app_secrets=(SECRET,))
    site.mongo.db["instagram_accounts"].insert_one({"instagramId": ACCOUNT, "dmUsed": 3})
    return site


def send(site: AdminSite, path: str, user: str = "4711", **payload: Any) -> Any:
    text = signed(GOOD | {"user_id": user} | payload, SECRET)
    return site.client().post(path, data={"signed_request": text})


def account(site: AdminSite) -> dict[str, Any]:
    answer = site.client().get(f"/api/admin/accounts/{ACCOUNT}", headers=bearer(TOKEN))
    found: dict[str, Any] = answer.get_json()
    return found


def told(site: AdminSite) -> list[str]:
    return [each["event"] for each in site.mongo.db["dmstats_activity_log"].find()]


class TestDeletion:
    def test_it_works(self, site: AdminSite) -> None:
        """Of somebody who wrote to an account nothing is stored, before and after."""
        answer = send(site, DELETE)
        assert answer.status_code == 200
        sent = answer.get_json()
        assert set(sent) == {"url", "confirmation_code"}
        assert sent["confirmation_code"].isalnum()
        assert sent["url"] == f"http://localhost/data-deletion/{sent['confirmation_code']}"
        page = site.client().get(urlsplit(sent["url"]).path)
        assert page.text == f"{sent['confirmation_code']}|False|False"
        assert "Set-Cookie" not in page.headers
        names = site.mongo.db.list_collection_names()
        assert not any("4711" in repr(list(site.mongo.db[name].find())) for name in names)
        assert told(site) == []

    def test_an_account(self, site: AdminSite, clock: ManualClock) -> None:
        """It is marked, and the operator decides; the page says when it is done."""
        code = send(site, DELETE, ACCOUNT).get_json()["confirmation_code"]
        assert account(site)["deletionAskedAt"] == rfc3339(1291836800_000)
        assert site.client().get(f"/data-deletion/{code}").text == f"{code}|True|True"
        assert told(site) == ["deletion-asked"]
        log = repr(list(site.mongo.db["dmstats_activity_log"].find()))
        assert ACCOUNT not in log
        site.mongo.db["dmstats_account_marks"].delete_one({"_id": ACCOUNT})
        assert site.client().get(f"/data-deletion/{code}").text == f"{code}|False|True"

    def test_a_second_request_has_the_first_ones_code(self, site: AdminSite) -> None:
        """So no page says that the account was removed before it is."""
        first, second = (
            send(site, DELETE, ACCOUNT, issued_at=at).get_json()["confirmation_code"]
            for at in (1_700_000_000, 1_700_000_900)
        )
        assert first == second
        assert site.client().get(f"/data-deletion/{first}").text == f"{first}|True|True"
        assert account(site)["deletionAskedAt"] == rfc3339(1_700_000_000_000)

    def test_a_change_answers_it_as_well(
        self, site: AdminSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(AccountEdits, "write", lambda *_: set())  # not for mongomock
        send(site, DELETE, ACCOUNT)
        send(site, WITHDRAW, ACCOUNT)
        answer = site.client().patch(
            f"/api/admin/accounts/{ACCOUNT}", json={"username": "lumen"}, headers=bearer(TOKEN)
        )
        assert answer.get_json() == account(site)
        assert answer.get_json()["deletionAskedAt"] == rfc3339(1291836800_000)

    def test_after_a_withdrawal(self, site: AdminSite) -> None:
        send(site, WITHDRAW, ACCOUNT)
        code = send(site, DELETE, ACCOUNT).get_json()["confirmation_code"]
        assert site.client().get(f"/data-deletion/{code}").text == f"{code}|True|True"

    @pytest.mark.parametrize(
        ("collection", "document"),
        [
            ("instagram_accounts", {"instagramId": 4711}),
            ("dmstats_account_days", {"_id": "4711:2026-11"}),
            ("dmstats_account_backlog", {"_id": "4711"}),
            ("dmstats_account_changes", {"_id": "4711"}),
            ("dmstats_ledger_archive_accounts", {"_id": "4711"}),
            ("dmstats_account_edits", {"_id": "4711"}),
            ("dmstats_account_states", {"_id": "4711"}),
            ("dmstats_send_days", {"_id": "20261118:4711"}),
            (
                "dmstats_sends",
                {"_id": b"m", "account": "4711", "due": AN_HOUR_AGO},
            ),
        ],
    )
    def test_an_account_that_is_left_somewhere(
        self, site: AdminSite, collection: str, document: dict[str, Any]
    ) -> None:
        site.mongo.db[collection].insert_one(document)
        code = send(site, DELETE).get_json()["confirmation_code"]
        assert site.client().get(f"/data-deletion/{code}").text == f"{code}|True|True"
        assert told(site) == ["deletion-asked"]

    def test_an_account_that_is_left_in_the_ledger(self, site: AdminSite) -> None:
        site.mongo.db["dmstats_account_activity"].insert_many(
            [
                {"_id": "index", "chunks": [["", "x:0"]]},
                {"_id": "x:0", "accounts": [["4710", b""], ["4711", b""]]},
            ]
        )
        for user, is_known in (("4711", True), ("471", False)):
            code = send(site, DELETE, user).get_json()["confirmation_code"]
            expected = f"{code}|{is_known}|{is_known}"
            assert site.client().get(f"/data-deletion/{code}").text == expected

    def test_the_address_behind_a_proxy(self, clock: ManualClock) -> None:
        site = AdminSite(clock, meta_app_secrets=(SECRET,), public_url="https://x.example/stats")
        assert send(site, DELETE).get_json()["url"].startswith("https://x.example/stats/data-del")

    def test_neither_request_deletes_anything(self, site: AdminSite) -> None:
        accounts = site.mongo.db["instagram_accounts"]
        before = list(accounts.find({}))
        for path in (DELETE, WITHDRAW):
            assert send(site, path, ACCOUNT).status_code == 200
        assert list(accounts.find({})) == before != []

    @pytest.mark.parametrize("code", ["x", "n" + "0" * 32, "a" + "0" * 32, "n" + "f" * 33])
    def test_a_code_that_was_never_given(self, site: AdminSite, code: str) -> None:
        assert site.client().get(f"/data-deletion/{code}").status_code == 404


class TestWithdrawnAccess:
    def test_it_works(self, site: AdminSite) -> None:
        assert account(site)["deauthorizedAt"] is None
        assert send(site, WITHDRAW, ACCOUNT).get_json() == {"success": True}
        assert account(site)["deauthorizedAt"] == rfc3339(1291836800_000)
        assert told(site) == ["access-withdrawn"]

    def test_a_later_dm_shows_that_it_was_given_again(
        self, site: AdminSite, clock: ManualClock
    ) -> None:
        send(site, WITHDRAW, ACCOUNT, issued_at=clock.now_ms() / 1000)
        later = {"lastDMReceived": to_datetime(clock.now_ms() + HOUR_MS)}
        site.mongo.db["instagram_accounts"].update_one({"instagramId": ACCOUNT}, {"$set": later})
        assert account(site)["deauthorizedAt"] is None

    def test_an_older_request_that_is_repeated(self, site: AdminSite, clock: ManualClock) -> None:
        now = clock.now_ms()
        send(site, WITHDRAW, ACCOUNT, issued_at=(now + HOUR_MS) / 1000)  # not before it was sent
        send(site, WITHDRAW, ACCOUNT)
        assert account(site)["deauthorizedAt"] == rfc3339(now)

    def test_a_user_without_an_account(self, site: AdminSite) -> None:
        assert send(site, WITHDRAW).get_json() == {"success": True}
        assert site.mongo.db["dmstats_account_marks"].count_documents({}) == 0
        assert told(site) == []


@pytest.mark.parametrize("path", [DELETE, WITHDRAW])
@pytest.mark.parametrize(
    "sent",
    [
        {}, {"data": {"signed_request": "x"}}, {"data": {"signed_request": ""}},
        {"data": {"signed_request": signed(GOOD, "wrong")}}, {"json": {"signed_request": 5}},
        {"data": b"\xff", "content_type": "application/json"},
    ],
)  # fmt: skip
def test_what_is_refused(site: AdminSite, path: str, sent: dict[str, Any]) -> None:
    answer = site.client().post(path, **sent)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert site.mongo.db["dmstats_account_marks"].count_documents({}) == 0
