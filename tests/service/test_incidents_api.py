"""The incidents as the API tells them, and the test of the alerts."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson.code import Code

from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, rfc3339
from dmstats.db.incidents import IncidentRecord, IncidentStore, record_id
from dmstats.ops.alerts import announce
from dmstats.ops.notifier import OPEN, Channel, Outcome
from dmstats.ops.runbooks import RUNBOOKS, runbook_of
from dmstats.ops.watchdog import CHECKS
from dmstats.web.schema.incident_schemas import AlertTestAnswer, IncidentAnswer, IncidentsAnswer
from tests.service.admin_site import TOKEN, AdminSite, bearer
from tests.service.test_alerts import Chat

URL = "/api/admin/incidents"


class Site(AdminSite):
    """An admin site with two channels, the second of which is deaf."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        deaf = Chat("deaf")
        deaf.outcomes = [Outcome(told=False, problem="status 404")] * 99
        self.chats: list[Channel] = [Chat("chat"), deaf]
        self.store = IncidentStore(self.mongo)
        services = self.app.extensions["dmstats"]
        services.incidents = self.store
        services.channels = SimpleNamespace(current=lambda: self.chats)

    def add(self, name: str, began_ms: int, ended_ms: int = 0) -> IncidentRecord:
        record = IncidentRecord(record_id(began_ms, name), name, "text", began_ms, ended_ms)
        announce(record, OPEN, self.chats, began_ms)
        self.store.save(record)
        return record


@pytest.fixture
def site(clock: ManualClock) -> Site:
    return Site(clock)


def test_it_works(site: Site) -> None:
    now = site.clock.now_ms()
    site.add("drift", now - 2 * HOUR_MS, now - HOUR_MS)
    site.add("webhook_silent", now - HOUR_MS)
    answer = site.client().get(URL, headers=bearer(TOKEN))
    found = IncidentsAnswer().load(answer.get_json())
    assert [(each["name"], each["endedAt"]) for each in found["incidents"]] == [
        ("webhook_silent", None),
        ("drift", rfc3339(now - HOUR_MS)),
    ]
    assert found["channels"] == ["chat", "deaf"]
    assert found["complete"] is True


def test_of_90_days_and_what_was_open_then(site: Site) -> None:
    now, day = site.clock.now_ms(), DAY_MS
    site.add("drift", now - 200 * day)
    site.add("canaries_lost", now - 91 * day, now - 89 * day)
    site.add("webhook_silent", now - 100 * day, now - 91 * day)
    names = [
        each["name"]
        for each in site.client().get(URL, headers=bearer(TOKEN)).get_json()["incidents"]
    ]
    assert names == ["canaries_lost", "drift"]


def test_one_with_its_runbook_and_notifications(site: Site) -> None:
    record = site.add("drift", site.clock.now_ms())
    record.alerts[0].told = site.clock.now_ms()
    record.alerts[1].attempts, record.alerts[1].problem = 2, "status 404"
    site.store.save(record)
    found = IncidentAnswer().load(
        site.client().get(f"{URL}/{record.id}", headers=bearer(TOKEN)).get_json()
    )
    assert found["title"] == "The counters differ from the ledger"
    assert "`dmstats audit`" in found["runbook"]["steps"][0]
    told, waiting = found["alerts"]
    assert (told["channel"], told["nextAt"]) == ("chat", None)
    assert told["toldAt"]
    assert (waiting["toldAt"], waiting["attempts"], waiting["problem"]) == (None, 2, "status 404")
    assert waiting["nextAt"]


def test_one_that_does_not_exist(site: Site) -> None:
    assert site.client().get(f"{URL}/1-drift", headers=bearer(TOKEN)).status_code == 404


def test_documents_that_cannot_be_read_are_left_out(site: Site) -> None:
    now = site.clock.now_ms()
    good = site.add("drift", now)
    odds: list[dict[str, Any]] = [{}, {"since": 3}, {"since": None, "alerts": [1]}]
    for number, odd in enumerate(odds):
        site.mongo.db["dmstats_incidents"].insert_one(
            {"_id": f"{now + number + 1}-x", "pending": True, **odd}
        )
    answer = site.client().get(URL, headers=bearer(TOKEN)).get_json()
    assert [each["id"] for each in answer["incidents"]] == [good.id]


def test_a_test_alert_reports_each_channel(site: Site) -> None:
    answer = site.signed_in().post("/api/admin/alerts/test")
    assert answer.status_code == 200
    assert AlertTestAnswer().load(answer.get_json())["channels"] == [
        {"channel": "chat", "told": True, "problem": None},
        {"channel": "deaf", "told": False, "problem": "status 404"},
    ]


@pytest.mark.parametrize("name", CHECKS)
def test_every_incident_has_a_runbook_that_is_in_the_documentation(name: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    book = RUNBOOKS[name]
    assert len(book.steps) > 1
    assert re.search(rf"^##+ {book.section}$", page, re.MULTILINE)
    assert f"| `{name}` |" in page


def test_an_incident_of_another_version_has_a_title() -> None:
    assert runbook_of("what_is_this").title == "What is this"


@pytest.mark.parametrize("value", [None, "x", 1, [], {}, 1.5, True, b"x", Code("open")])
@pytest.mark.parametrize("field", ["channel", "label", "state", "due", "told", "given_up", ""])
def test_an_alert_that_cannot_be_read_costs_no_other(site: Site, field: str, value: Any) -> None:
    record = site.add("drift", site.clock.now_ms())
    place = f"alerts.0.{field}" if field else "alerts.0"
    site.mongo.db["dmstats_incidents"].update_one({"_id": record.id}, {"$set": {place: value}})
    (found,) = site.store.pending()
    assert record.alerts[1] in found.alerts
    assert {alert.state for alert in found.alerts} == {OPEN}


@pytest.mark.parametrize("value", [None, 1, [], {}, Code("x")])
def test_an_incident_without_a_text_is_listed(site: Site, value: Any) -> None:
    record = site.add("drift", site.clock.now_ms())
    site.mongo.db["dmstats_incidents"].update_one({"_id": record.id}, {"$set": {"text": value}})
    (found,) = site.store.pending()
    assert (found.name, found.text) == ("drift", "")
    answer = site.client().get(f"{URL}/{record.id}", headers=bearer(TOKEN))
    assert answer.status_code == 200
