"""Notes of people, and what happened by itself, in a range."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId

from dmstats.core.clock import DAY_MS, HOUR_MS, ManualClock, to_datetime
from dmstats.db.admins.activity_log import LogFilter
from dmstats.db.admins.roles import Role
from dmstats.db.annotations import MAX_NOTES, MAX_TEXT_LENGTH
from dmstats.db.incidents import IncidentRecord, record_id
from dmstats.ops.annotations import VersionNote
from dmstats.web.schema.annotation_schemas import AnnotationAnswer, AnnotationsAnswer
from dmstats.web.schema.history_schemas import HistoryAnswer
from tests.service.admin_site import EMAIL, TOKEN, AdminSite, bearer

URL = "/api/admin/annotations"
AT = "2026-11-14T09:30:00.000Z"


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    return AdminSite(clock)  # it is 2026-11-15T12:34:56Z


def found(site: AdminSite, query: str = "") -> list[dict[str, Any]]:
    answer = site.client().get(f"{URL}{query}", headers=bearer(TOKEN))
    assert answer.status_code == 200, answer.text
    annotations: list[dict[str, Any]] = AnnotationsAnswer().load(answer.get_json())["annotations"]
    return annotations


def test_it_works(site: AdminSite) -> None:
    another = site.signed_in("eve@example.com", Role.OPERATOR)
    client = site.signed_in("bob@example.com", Role.OPERATOR)
    added = client.post(URL, json={"at": AT, "text": " Launch in Spain "})
    assert added.status_code == 201
    note = AnnotationAnswer().load(added.get_json())
    assert note == {
        "id": note["id"], "kind": "note", "at": AT, "text": "Launch in Spain",
        "author": "bob@example.com", "changedBy": None,
    }  # fmt: skip
    assert found(site) == [note]
    changed = another.post(f"{URL}/{note['id']}", json={"at": "2026-11-13", "text": "Test"})
    new = {"at": "2026-11-13T00:00:00.000Z", "text": "Test", "changedBy": "eve@example.com"}
    assert changed.get_json() == note | new
    assert found(site, "?from=2026-11-13&to=2026-11-13") == [changed.get_json()]
    assert found(site, "?from=2026-11-14") == []
    assert client.post(f"{URL}/{note['id']}/delete").get_json() == changed.get_json()
    assert found(site) == []
    assert client.post(f"{URL}/{note['id']}/delete").status_code == 404
    assert client.post(f"{URL}/{note['id']}", json={"at": AT, "text": "x"}).status_code == 404
    log = site.log.page(LogFilter(), limit=9)[0]
    assert [(entry.event, entry.target, entry.details) for entry in log][:3] == [
        ("note-deleted", "2026-11-13T00:00:00.000Z", "Test"),
        ("note-changed", "2026-11-13T00:00:00.000Z", "Test"),
        ("note-added", AT, "Launch in Spain"),
    ]


def test_viewers_and_tokens_only_read(site: AdminSite) -> None:
    body = {"at": AT, "text": "x"}
    assert site.signed_in(EMAIL).post(URL, json=body).status_code == 201
    (note,) = found(site)
    viewer = site.signed_in("eve@example.com", Role.VIEWER)
    assert viewer.get(URL).status_code == 200
    for path in (URL, f"{URL}/{note['id']}", f"{URL}/{note['id']}/delete"):
        assert viewer.post(path, json=body).status_code == 403
        assert site.client().post(path, json=body, headers=bearer(TOKEN)).status_code == 403
        assert site.client().post(path, json=body).status_code == 401
    assert found(site) == [note]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"at": AT}, "text: Missing"),
        ({"at": AT, "text": "  "}, "text: Must not be empty."),
        ({"at": AT, "text": "x" * (MAX_TEXT_LENGTH + 1)}, "text: "),
        ({"at": AT, "text": "a\nb"}, "text: Contains characters that cannot be printed."),
        ({"at": "yesterday", "text": "x"}, "at: must be a date such as"),
        ({"at": "2026-02-30", "text": "x"}, "at: must be a date such as"),
        ({"at": "2026-11-15T12:36:00Z", "text": "x"}, "at: must not be in the future."),
        ({"at": AT, "text": "x", "kind": "version"}, "kind: Unknown field."),
    ],
)
def test_bad_notes_are_refused(site: AdminSite, body: dict[str, str], sentence: str) -> None:
    answer = site.signed_in().post(URL, json=body)
    assert answer.status_code == 400
    assert sentence in answer.get_json()["detail"]
    assert found(site) == []


def test_their_number_is_bounded(site: AdminSite) -> None:
    at = to_datetime(site.clock.now_ms() - 90 * DAY_MS)
    site.mongo.db["dmstats_annotations"].insert_many(
        {"kind": "note", "at": at, "text": "old"} for _ in range(MAX_NOTES - 1)
    )
    client = site.signed_in()
    assert client.post(URL, json={"at": AT, "text": "the last"}).status_code == 201
    refused = client.post(URL, json={"at": AT, "text": "too many"})
    assert (refused.status_code, refused.get_json()["detail"]) == (
        400, "There are already 500 notes: delete some first.",
    )  # fmt: skip
    answer = client.get(f"{URL}?from=2026-01-01").get_json()
    assert (len(answer["annotations"]), answer["complete"]) == (200, False)
    assert answer["annotations"][-1]["text"] == "the last"


def test_what_happened_by_itself(site: AdminSite, clock: ManualClock) -> None:
    now = clock.now_ms()
    for began, name in ((now - 3 * HOUR_MS, "drift"), (now - 40 * DAY_MS, "webhook_silent")):
        site.incidents.save(IncidentRecord(record_id(began, name), name, "By 3.", began))
    for second in (0, 1, 120):
        at = to_datetime(now - 2 * HOUR_MS + second * 1000)
        site.mongo.db["dmstats_audit_repairs"].insert_one(
            {"_id": ObjectId.from_datetime(at), "at": at, "differences": [{"place": "hours"}] * 2}
        )
        site.mongo.db["dmstats_audit_repairs"].insert_one({"at": "x"})
    site.mongo.db["dmstats_annotations"].insert_one({"kind": 7, "at": to_datetime(now - 1)})
    assert [(each["kind"], each["at"][11:16], each["text"]) for each in found(site)] == [
        ("incident", "09:34", "The counters differ from the ledger: By 3."),
        ("repair", "10:34", "The audit repaired 4 counters."),
        ("repair", "10:36", "The audit repaired 2 counters."),
    ]
    incident = found(site)[0]
    assert incident["id"] == record_id(now - 3 * HOUR_MS, "drift")
    client = site.signed_in()
    for key in (incident["id"], str(ObjectId())):
        assert client.post(f"{URL}/{key}/delete").status_code == 404


def test_a_new_version_is_noted_once(site: AdminSite, clock: ManualClock) -> None:
    first, second = (VersionNote(site.annotations.store, version) for version in ("1.0", "1.1"))
    for note in (first, first, VersionNote(site.annotations.store, "1.0"), second, second):
        note.tick()
        clock.advance(1)
    assert [each["text"] for each in found(site)] == [
        "dmstats 1.0 was started for the first time.",
        "dmstats 1.1 was started for the first time.",
    ]
    (key, _) = (each["id"] for each in found(site))
    assert site.signed_in().post(f"{URL}/{key}/delete").status_code == 404


def test_a_version_that_a_wrong_clock_noted_does_not_stay_the_newest(
    site: AdminSite, clock: ManualClock
) -> None:
    store = site.annotations.store
    clock.step(9 * DAY_MS / 1000)
    assert store.note_version("1.0")
    clock.step(-9 * DAY_MS / 1000)
    assert [store.note_version("1.1") for _ in range(3)] == [True, False, False]


def test_they_are_exported_with_the_history(site: AdminSite) -> None:
    client = site.signed_in()
    for at, text in (("2026-11-14T09:30:00Z", "one"), ("2026-11-14T11:00:00Z", "=two"),
                     ("2026-11-12", "before")):  # fmt: skip
        client.post(URL, json={"at": at, "text": text})
    query = "/api/admin/history?from=2026-11-13&to=2026-11-15"
    plain = client.get(query)
    assert "annotations" not in plain.get_json()
    asked = client.get(f"{query}&annotations=true")
    HistoryAnswer().load(asked.get_json())
    assert [each["text"] for each in asked.get_json()["annotations"]] == ["one", "=two"]
    saved = client.get(f"{query}&annotations=true&band=true&compare=previous&format=csv&unit=day")
    rows = list(csv.DictReader(io.StringIO(saved.data.decode("utf-8-sig"))))
    assert [row["annotations"] for row in rows] == ["", "one;' =two", ""], (
        "no formula in a spreadsheet"
    )
    assert rows[1]["expected_sent"] == ""
    assert datetime.fromisoformat(rows[1]["at"]).day == 14
    # A note of a closed range, which is cached for hours, is there at once.
    client.post(URL, json={"at": "2026-11-13", "text": "late"})
    again = client.get(f"{query}&annotations=true")
    assert again.get_json()["annotations"][0]["text"] == "late"
    assert again.headers["ETag"] != asked.headers["ETag"]
