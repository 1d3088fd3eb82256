"""Operators change names, limits and states, in documents that may hold anything."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

import migrations
from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db import account_edits as edits_module
from dmstats.db.account_edits import AccountEdits, Fields
from dmstats.db.admins import activity_log
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.roles import Role
from dmstats.db.client import Mongo, connect, deadline
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.readings import ReadingsStore
from dmstats.web.api import account_edits as account_edits_api
from tests.service.admin_site import TOKEN, AdminSite, bearer

pytestmark = pytest.mark.live

ONE, TWO, NUMBER = "17841400000000001", "17841400000000002", 17841400000000003
URL = "/api/admin/accounts"


class Site(AdminSite):
    def __init__(self, clock: ManualClock, mongo: Mongo) -> None:
        super().__init__(clock, mongo, monthly_dm_limit=200)
        migrations.apply(mongo, Settings())
        self.accounts = mongo.db["instagram_accounts"]
        self.accounts.insert_many([
            {"instagramId": ONE, "username": "lumen", "dmUsed": 9, "planOfThePlatform": {"a": [1]}},
            {"instagramId": TWO, "dmUsed": 5, "isActive": True},
            {"instagramId": NUMBER, "username": "velo", "dmUsed": 7},
        ])  # fmt: skip
        self.edits = AccountEdits(mongo, clock)

    def document(self, instagram_id: object = ONE) -> dict[str, Any]:
        found = self.accounts.find_one({"instagramId": instagram_id}, {"_id": False})
        assert found is not None
        return found

    def patch(self, status: int, account: object = ONE, **fields: Any) -> dict[str, Any]:
        answer = self.client().patch(f"{URL}/{account}", json=fields, headers=bearer(TOKEN))
        assert answer.status_code == status, answer.text
        return dict(answer.get_json())

    def send(self, text: str, status: int = 200, query: str = "") -> dict[str, Any]:
        answer = self.client().post(f"{URL}/import{query}", data=text, headers=bearer(TOKEN))
        assert answer.status_code == status, answer.text
        return dict(answer.get_json())

    def logged(self) -> list[tuple[str, str, str]]:
        entries, _ = self.log.page(LogFilter(), limit=20)
        return [(each.event, each.target, each.details) for each in entries]


@pytest.fixture
def mongo(mongodb_uri: str) -> Iterator[Mongo]:
    """Without the time limit of an operation, which one on a slice of accounts reaches on a busy
    machine."""
    settings = Settings(mongodb_uri=mongodb_uri, mongodb_db=f"test_{uuid.uuid4().hex[:12]}")
    with closing(connect(settings, unlimited=True)) as connection:
        yield connection


@pytest.fixture
def site(mongo: Mongo, clock: ManualClock) -> Site:
    return Site(clock, mongo)


def test_it_works(site: Site) -> None:
    answer = site.patch(200, username="@Lumen.Studio", monthlyDmLimit=500, isActive=False)
    shown = answer["username"], answer["monthlyDmLimit"], answer["isActive"]
    assert shown == ("lumen.studio", 500, False)
    found = site.document()
    assert found.pop("planOfThePlatform") == {"a": [1]}
    assert found == {
        "instagramId": ONE, "username": "lumen.studio", "dmUsed": 9, "monthlyDmLimit": 500,
        "isActive": False,
    }  # fmt: skip
    details = "username: lumen → lumen.studio; monthlyDmLimit: none → 500; isActive: yes → no"
    assert site.logged() == [("account-changed", ONE, details)]


def test_every_figure_has_the_same_values(site: Site, clock: ManualClock) -> None:
    site.patch(200, username="zeta", monthlyDmLimit=500, isActive=False)
    client, headers = site.client(), bearer(TOKEN)
    (found,) = client.get(f"{URL}?query=zet", headers=headers).get_json()["accounts"]
    one = client.get(f"{URL}/{ONE}", headers=headers).get_json()
    assert found == {field: one[field] for field in found}
    listed = client.get(f"{URL}?sort=username", headers=headers).get_json()["accounts"]
    assert found in listed
    readings = ReadingsStore(site.mongo, PopulationCounts(site.mongo, clock)).read(clock.now_ms())
    top = readings.top[0]
    assert (top.username, top.monthly_dm_limit, readings.inactive) == ("zeta", 500, 1)


def test_null_removes_and_what_is_left_out_stays(site: Site) -> None:
    site.patch(200, username="x", monthlyDmLimit=0)
    answer = site.patch(200, monthlyDmLimit=None)
    assert (answer["username"], answer["monthlyDmLimit"]) == ("x", 200)
    assert "monthlyDmLimit" not in site.document()
    site.patch(200, username=None)
    assert "username" not in site.document()
    assert len(site.logged()) == 3
    site.patch(200, username=None)
    assert len(site.logged()) == 3, "nothing was changed"


def test_a_number_as_the_id(site: Site) -> None:
    assert site.patch(200, NUMBER, username="atelier")["username"] == "atelier"
    assert site.document(NUMBER)["username"] == "atelier"
    assert site.accounts.count_documents({}) == 3


@pytest.mark.parametrize("present", ["400", 4.5, Int64(400), Decimal128("400"), "much", [1], None])
def test_a_limit_keeps_the_type_that_the_platform_uses(site: Site, present: object) -> None:
    site.accounts.update_one({"instagramId": ONE}, {"$set": {"monthlyDmLimit": present}})
    assert site.patch(200, monthlyDmLimit=500)["monthlyDmLimit"] == 500
    stored = site.document()["monthlyDmLimit"]
    kind = type(present) if isinstance(present, str | float | Int64 | Decimal128) else int
    assert type(stored) is kind


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"dmUsed": 0}, {"username": ""}, {"username": " @ "}, {"username": "x" * 101},
        {"username": "a\u202eb"}, {"username": 3}, {"monthlyDmLimit": -1}, {"monthlyDmLimit": 1.5},
        {"monthlyDmLimit": "5"}, {"monthlyDmLimit": 10**10}, {"isActive": "yes"},
        {"isActive": None},
    ],
)  # fmt: skip
def test_bad_input(site: Site, fields: dict[str, Any]) -> None:
    before = site.document()
    site.patch(400, **fields)
    assert site.document() == before
    assert site.logged() == []


def test_who_may(site: Site) -> None:
    viewer = site.signed_in("v@example.com", Role.VIEWER)
    assert viewer.patch(f"{URL}/{ONE}", json={"isActive": False}).status_code == 403
    operator = site.signed_in("o@example.com", Role.OPERATOR)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    answer = operator.patch(f"{URL}/{ONE}", json={"isActive": False}, headers=foreign)
    assert answer.status_code == 403
    assert operator.patch(f"{URL}/{ONE}", json={"isActive": False}).status_code == 200
    site.patch(404, "404", isActive=False)


def test_what_the_database_refuses(site: Site) -> None:
    site.accounts.delete_one({"instagramId": NUMBER})
    site.accounts.update_one({"instagramId": TWO}, {"$set": {"username": "taken"}})
    site.accounts.create_index("username", unique=True, name="platform")
    assert "refuses" in site.patch(409, username="taken")["detail"]
    text = f"instagramId,username,monthlyDmLimit\n{ONE},taken,7\n{TWO},,8\n"
    answer = site.send(text, query=f"?apply={site.send(text)['preview']}")
    assert (answer["accounts"], answer["failed"]) == (1, 1)
    assert answer["errors"][0]["line"] == 2
    assert "monthlyDmLimit" not in site.document()
    assert site.document(TWO)["monthlyDmLimit"] == 8
    site.accounts.drop_index("platform")
    assert site.edits.write_back() == 0, "what was refused is not tried again"


def test_a_refused_edit_leaves_the_earlier_one(site: Site) -> None:
    site.patch(200, username="ours", monthlyDmLimit=10)
    site.accounts.update_one({"instagramId": TWO}, {"$set": {"username": "taken"}})
    site.accounts.delete_one({"instagramId": NUMBER})
    site.accounts.create_index("username", unique=True, name="platform")
    site.patch(409, username="taken", monthlyDmLimit=7)
    site.accounts.drop_index("platform")
    theirs = {"username": "theirs", "monthlyDmLimit": 1}
    site.accounts.update_one({"instagramId": ONE}, {"$set": theirs})
    assert site.edits.write_back() == 1
    found = site.document()
    assert (found["username"], found["monthlyDmLimit"]) == ("ours", 10)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "at the deadline"])
def test_an_edit_that_failed_is_not_written_later(
    site: Site, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    site.patch(200, monthlyDmLimit=10)
    site.patch(200, username="ours")

    def fail(names: Any, updates: Any) -> Any:
        while late:
            site.accounts.find_one({})
        raise StoreUnavailable("away")

    with monkeypatch.context() as during:
        during.setattr(site.edits, "_write_some", fail)
        found = site.edits.find([ONE, TWO])
        wanted: dict[str, Fields] = {
            ONE: {"monthlyDmLimit": 7, "username": None},
            TWO: {"isActive": False},
        }
        with pytest.raises(StoreUnavailable), deadline(0.3):
            site.edits.write(wanted, found)
    assert site.edits.write_back() == 0
    remembered = site.mongo.db["dmstats_account_edits"].find()
    assert {each["_id"]: each["fields"] for each in remembered} == {
        ONE: {"monthlyDmLimit": 10, "username": "ours"},
        TWO: {},
    }


CSV = f"""instagramId,username,monthlyDmLimit,isActive
{ONE},lumen,300,
{TWO},,200,true
{NUMBER},velo.atelier,,no
99,x,1,
{ONE},twice,,
"""


def test_an_import_says_what_it_would_change_and_then_does_it(site: Site) -> None:
    before = [site.document(each) for each in (ONE, TWO, NUMBER)]
    preview = site.send(CSV)
    assert before == [site.document(each) for each in (ONE, TWO, NUMBER)]
    assert (preview["applied"], preview["accounts"], preview["unchanged"]) == (False, 2, 1)
    assert preview["changes"] == [
        {"line": 2, "instagramId": ONE, "field": "monthlyDmLimit", "before": None, "after": 300},
        {"line": 4, "instagramId": str(NUMBER), "field": "username", "before": "velo",
         "after": "velo.atelier"},
        {"line": 4, "instagramId": str(NUMBER), "field": "isActive", "before": True,
         "after": False},
    ]  # fmt: skip
    assert [each["line"] for each in preview["errors"]] == [5, 6]
    answer = site.send(CSV, query=f"?apply={preview['preview']}")
    assert (answer["applied"], answer["accounts"]) == (True, 2)
    assert site.document()["monthlyDmLimit"] == 300
    assert "monthlyDmLimit" not in site.document(TWO), "the general limit is no limit of its own"
    changed = site.document(NUMBER)
    assert (changed["username"], changed["isActive"]) == ("velo.atelier", False)
    words = "2 accounts: monthlyDmLimit of 1, username of 1, isActive of 1"
    assert site.logged() == [("accounts-imported", "", words)]
    assert site.send(CSV)["accounts"] == 0


def test_an_import_keeps_a_name_that_is_the_same_but_for_case(site: Site) -> None:
    site.accounts.update_one({"instagramId": ONE}, {"$set": {"username": "@Lumen"}})
    preview = site.send(f"instagramId,username\n{ONE},@Lumen\n{NUMBER},Velo2\n")
    assert (preview["accounts"], preview["unchanged"]) == (1, 1)
    assert [each["after"] for each in preview["changes"]] == ["velo2"]


def test_an_import_changes_nothing_but_what_its_preview_said(site: Site) -> None:
    preview = site.send(CSV)["preview"]
    site.accounts.update_one({"instagramId": NUMBER}, {"$set": {"username": "other"}})
    site.send(CSV, 409, f"?apply={preview}")
    site.send(CSV, 409, "?apply=x")
    assert "monthlyDmLimit" not in site.document()
    assert site.logged() == []


def test_a_large_import(site: Site) -> None:
    """More than are read and written at once, and than are listed."""
    count = 2 * edits_module.SLICE + 50
    site.accounts.insert_many([{"instagramId": f"a{n}"} for n in range(count)])
    text = "instagramId,monthlyDmLimit\n" + "".join(f"a{n},{n + 1000}\n" for n in range(count))
    preview = site.send(text)
    assert (preview["accounts"], len(preview["changes"])) == (count, 200)
    assert site.send(text, query=f"?apply={preview['preview']}")["accounts"] == count
    assert site.document(f"a{count - 1}")["monthlyDmLimit"] == count + 999
    assert "KiB" in site.send("x" * 300_000, 413)["detail"]


@pytest.mark.parametrize(
    ("slices", "answers", "words"),
    [
        (2, True, "not finished: 4 of 5 accounts"),
        (0, True, "not finished: 0 of 5 accounts"),
        (1, False, "not finished: an unknown number of 5 accounts"),
    ],
)
def test_an_import_that_fails_halfway_is_logged(
    site: Site, monkeypatch: pytest.MonkeyPatch, slices: int, answers: bool, words: str
) -> None:
    monkeypatch.setattr(edits_module, "SLICE", 2)
    monkeypatch.setattr(account_edits_api, "RECORD_SECONDS", 60.0)  # on a busy machine
    monkeypatch.setattr(activity_log, "WRITE_SECONDS", 60.0)
    site.accounts.insert_many([{"instagramId": f"a{n}"} for n in range(5)])
    text = "instagramId,monthlyDmLimit\n" + "".join(f"a{n},{n + 1000}\n" for n in range(5))
    preview = site.send(text)["preview"]
    write, find, left = AccountEdits._write_some, AccountEdits.find, slices

    def write_some(edits: AccountEdits, *arguments: Any) -> set[str]:
        nonlocal left
        left -= 1
        if left >= 0:
            return write(edits, *arguments)
        if not answers:
            monkeypatch.setattr(AccountEdits, "find", away)
        raise StoreUnavailable("no primary")

    def away(*_: object) -> Any:
        raise StoreUnavailable("no primary")

    monkeypatch.setattr(AccountEdits, "_write_some", write_some)
    site.send(text, 503, f"?apply={preview}")
    monkeypatch.setattr(AccountEdits, "find", find)
    assert site.logged() == [("accounts-imported", "", words)]


def test_what_the_platform_writes_since(site: Site) -> None:
    """It stays, unless the leader writes operators' values back."""
    site.patch(200, username="ours", monthlyDmLimit=500)
    theirs = {"username": "theirs", "monthlyDmLimit": "x", "isActive": False}
    site.accounts.update_one({"instagramId": ONE}, {"$set": theirs})
    assert site.client().get(f"{URL}/{ONE}", headers=bearer(TOKEN)).get_json()["username"] == (
        "theirs"
    )
    assert site.edits.write_back() == 1
    found = site.document()
    assert (found["username"], found["isActive"]) == ("ours", False), "it was never edited"
    assert found["monthlyDmLimit"] == "500"
    assert site.edits.write_back() == 0
    site.patch(200, username=None)
    site.accounts.update_one({"instagramId": ONE}, {"$set": {"username": "theirs"}})
    assert site.edits.write_back() == 0, "null leaves the field to the platform"


def test_what_is_written_while_values_are_written_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an operator's newer value nor the platform's is overwritten with an older one."""
    site.patch(200, username="ours", monthlyDmLimit=500)
    site.accounts.update_one({"instagramId": ONE}, {"$unset": {"username": ""}})
    site.accounts.update_one({"instagramId": ONE}, {"$set": {"monthlyDmLimit": 1}})
    find = site.edits.find

    def then_changed(ids: Any) -> Any:
        found = find(ids)
        site.patch(200, username="newer", isActive=False)
        return found

    monkeypatch.setattr(site.edits, "find", then_changed)
    site.edits.write_back()
    found = site.document()
    assert (found["username"], found["monthlyDmLimit"], found["isActive"]) == ("newer", 500, False)


def test_writing_back_goes_page_by_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits_module, "PAGE", 2)
    for account in (ONE, TWO, NUMBER):
        site.patch(200, account, isActive=False)
    site.mongo.db["dmstats_account_edits"].insert_one({"_id": "gone", "fields": {"isActive": 3}})
    site.mongo.db["dmstats_account_edits"].insert_one({"_id": "gone too"})
    site.mongo.db["dmstats_account_edits"].insert_one({"_id": ObjectId(), "fields": []})
    site.accounts.update_many({}, {"$set": {"isActive": True}})
    assert [site.edits.write_back() for _ in range(4)] == [2, 1, 0, 0]
    site.accounts.update_many({}, {"$set": {"isActive": True}})
    assert sum(site.edits.write_back() for _ in range(3)) == 3
