"""Deliveries to be looked into: what is kept of them, under a flood too, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.db.delivery_store import (
    KEPT,
    PARTIAL,
    REFUSED,
    SAMPLE,
    DeliveryRecord,
    DeliveryStore,
    EventName,
)
from dmstats.ops.delivery_details import MAX_WRITTEN, SAMPLE_SECONDS, DeliveryDetails
from dmstats.web.schema.delivery_schemas import DeliveriesAnswer
from tests.service.admin_site import TOKEN, AdminSite, bearer
from tests.unit.ingest.test_webhook import Harness

URL = "/api/admin/deliveries"
SECRET_TEXT, PERSON = "the text of a message", "998877665544"
PARTLY: dict[str, Any] = {
    "object": "instagram",
    "entry": [
        {
            "id": "17841400000000001",
            "time": 1_785_000_000_000,
            "messaging": [
                {"sender": {"id": PERSON}, "message": {"text": SECRET_TEXT}},
                {"sender": {"id": PERSON}, "timestamp": 1_785_000_000_000,
                 "message": {"mid": "m1", "text": SECRET_TEXT}},
                {"sender": {"id": PERSON}, "timestamp": 1_785_000_000_000,
                 "payment": {"amount": SECRET_TEXT, "currency": "EUR", PERSON: 1}},
            ],
        }
    ],
}  # fmt: skip


class Site(AdminSite):
    """An admin site and a webhook whose deliveries it shows."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.store = DeliveryStore(self.mongo)
        self.app.extensions["dmstats"].deliveries = self.store
        self.details = DeliveryDetails(self.store, clock)
        self.harness = Harness(self.details, clock)

    def get(self, query: str = "") -> dict[str, Any]:
        self.details.write()
        answer = self.client().get(f"{URL}{query}", headers=bearer(TOKEN))
        assert answer.status_code == 200, answer.text
        return dict(DeliveriesAnswer().load(answer.get_json()))


@pytest.fixture
def site(clock: ManualClock) -> Site:
    return Site(clock)


def test_it_works(site: Site) -> None:
    body = json.dumps(PARTLY).encode()
    site.harness.post(body)
    (delivery,) = site.get()["deliveries"]
    assert (delivery["group"], delivery["status"], delivery["entries"]) == ("partial", 200, 1)
    assert delivery["bytes"] == len(body)
    assert delivery["kinds"] == {"received": 1, "unknown": 1}
    assert delivery["counts"]["rejected"] == 1
    assert delivery["rejected"] == [
        {"path": "entry[].messaging[].message.mid", "kind": "message",
         "account": "17841400000000001"}
    ]  # fmt: skip


def test_no_text_and_no_persons_id_is_kept(site: Site) -> None:
    site.harness.post(json.dumps(PARTLY).encode())
    site.get()
    for name in ("dmstats_deliveries", "dmstats_event_names"):
        kept = str(list(site.mongo.db[name].find()))
        assert kept != "[]"
        assert SECRET_TEXT not in kept
        assert PERSON not in kept


def test_names_with_their_first_and_last_time_and_fields(site: Site, clock: ManualClock) -> None:
    site.harness.post(json.dumps(PARTLY).encode())
    first = site.get()["names"]
    clock.advance(3600)
    later = json.loads(json.dumps(PARTLY))
    later["entry"][0]["messaging"][2]["payment"] = {"method": "card"}
    site.harness.post(json.dumps(later).encode())
    names = {name["name"]: name for name in site.get()["names"]}
    assert {name["name"] for name in first} == names.keys()
    payment = names["payment"]
    assert payment["counted"] is True
    assert payment["keys"] == ["amount", "currency", "method"]
    assert payment["firstAt"] < payment["lastAt"]
    rejected = names["entry[].messaging[].message.mid"]
    assert rejected["counted"] is False
    assert rejected["keys"] == ["message", "sender"]


def test_refused_deliveries_with_their_reason(site: Site) -> None:
    site.harness.post(b"{}", secret="wrong")
    site.harness.post(b"no json")
    site.harness.committer.failure = StoreUnavailable("MongoDB is away")
    site.harness.post(json.dumps(PARTLY).encode())
    found = {each["status"]: each for each in site.get("?group=refused")["deliveries"]}
    assert {status: each["reason"] for status, each in found.items()} == {
        401: "The signature matches no app secret",
        400: "The body is not JSON",
        503: "MongoDB is away",
    }
    assert found[503]["kinds"] == {"received": 1, "unknown": 1}
    assert found[401]["entries"] == 0


def test_good_deliveries_are_sampled(site: Site, clock: ManualClock) -> None:
    good = json.loads(json.dumps(PARTLY))
    good["entry"][0]["messaging"] = good["entry"][0]["messaging"][1:2]
    body = json.dumps(good).encode()
    for _ in range(5):
        site.harness.post(body)
    assert len(site.get("?group=sample")["deliveries"]) == 1
    assert site.get()["deliveries"] == []
    clock.advance(SAMPLE_SECONDS)
    site.harness.post(body)
    assert len(site.get("?group=sample")["deliveries"]) == 2


def test_made_up_traffic_names_nothing(site: Site) -> None:
    body = json.loads(json.dumps(PARTLY))
    body["entry"][0]["id"] = "simulated-1"
    site.harness.post(json.dumps(body).encode())
    assert site.get()["names"] == []


def test_a_flood_is_bounded_and_the_newest_are_kept(site: Site, clock: ManualClock) -> None:
    """2,000 refused deliveries a second for 100 s, and one that was rejected in part before."""
    site.harness.post(json.dumps(PARTLY).encode())
    site.details.write()
    written: list[int] = []
    add = site.store.add

    def counted(records: list[DeliveryRecord]) -> None:
        written.append(len(records))
        add(records)

    site.store.add = counted  # type: ignore[method-assign, assignment]
    for second in range(0, 100, 5):
        for number in range(10_000):
            site.details.record(
                {"dmstats.request_id": f"{second}-{number}"}, None,
                status=401, reason="no", counts={}, seconds=0.001,
            )  # fmt: skip
        clock.advance(5)
        site.details.write()
    assert written == [MAX_WRITTEN] * 20
    kept = site.store.newest(REFUSED, 5000)
    assert len(kept) == KEPT[REFUSED]
    expected = {
        f"{second}-{number}" for second in range(50, 100, 5) for number in range(9900, 10_000)
    }
    assert {record.request_id for record in kept} == expected
    assert site.mongo.db["dmstats_deliveries"].count_documents({}) == KEPT[REFUSED] + 1
    assert len(site.store.newest(PARTIAL, 10)) == 1
    assert len(site.store.newest(SAMPLE, 10)) <= 1


def test_names_are_bounded(site: Site) -> None:
    for part in range(8):
        site.store.see(EventName(f"name{part}_{number}", True, 1, 1) for number in range(100))
    assert len(site.store.names()) == 500
    many = tuple(f"key{number:03d}" for number in range(70))
    for start in (0, 20, 40):
        site.store.see([EventName("name0_0", True, 1, 2, many[start : start + 20])])
    (name,) = [each for each in site.store.names() if each.name == "name0_0"]
    assert len(name.keys) == 50


def test_a_name_outlives_an_outage(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise StoreUnavailable

    site.harness.post(json.dumps(PARTLY).encode())
    with monkeypatch.context() as patch:
        patch.setattr(site.store, "add", away)
        site.details.write()
    found = site.get()
    assert found["deliveries"] == []
    assert len(found["names"]) == 2


@pytest.mark.parametrize("query", ["?group=x", "?limit=0", "?limit=1001", "?x=1"])
def test_bad_questions(site: Site, query: str) -> None:
    assert site.client().get(f"{URL}{query}", headers=bearer(TOKEN)).status_code == 400


def test_documents_that_cannot_be_read_are_left_out(site: Site) -> None:
    odds: list[dict[str, Any]] = [{}, {"at": 3}, {"at": "x", "kinds": []}]
    for number, odd in enumerate(odds):
        site.mongo.db["dmstats_deliveries"].insert_one({"_id": f"refused-{number}", **odd})
        site.mongo.db["dmstats_event_names"].insert_one({"_id": f"unknown:{number}", **odd})
    assert site.get() == {"deliveries": [], "names": []}
