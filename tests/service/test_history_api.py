from __future__ import annotations

import csv
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import fakeredis
import pytest
from flask.testing import FlaskClient

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable, Unavailable
from dmstats.history.calendar import UNITS, Calendar
from dmstats.history.comparison import KINDS
from dmstats.history.ranges import RANGES
from dmstats.history.recent import RecentHours
from dmstats.history.service import CACHE_KEY, CLOSED_SECONDS, HistoryRequest, HistoryService
from dmstats.ops.metrics import Metrics
from dmstats.web.schema.history_schemas import HistoryAnswer
from tests.service.admin_site import TOKEN, AdminSite, bearer

URL = "/api/admin/history"
BERLIN = Calendar(ZoneInfo("Europe/Berlin"))


@pytest.fixture
def site(clock: ManualClock) -> AdminSite:
    site = AdminSite(clock)  # it is 2026-11-15T12:34:56Z, a Sunday
    for text, sent, received in (
        ("2026-11-08T09:10", 2, 0), ("2026-11-13T22:59", 1, 1), ("2026-11-13T23:00", 4, 2),
        ("2026-11-14T23:30", 8, 0), ("2026-11-15T12:34", 16, 3), ("2025-11-14T12:00", 5, 5),
    ):  # fmt: skip
        count(site, text, sent, received)
    return site


def count(site: AdminSite, text: str, sent: int, received: int) -> None:
    moment = datetime.fromisoformat(text + "+00:00")
    hour = moment.replace(minute=0)
    added = {"sent": sent, "received": received}
    minutes = {f"minutes.{moment.minute}.{name}": n for name, n in added.items()}
    site.mongo.db["dmstats_hours"].update_one({"_id": hour}, {"$inc": added | minutes}, upsert=True)
    day = hour.replace(hour=0)
    site.mongo.db["dmstats_days"].update_one({"_id": day}, {"$inc": added}, upsert=True)


@pytest.fixture
def client(site: AdminSite) -> FlaskClient:
    client = site.client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {TOKEN}"
    return client


def figures(points: list[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    return {point["at"][:16]: (point["sent"], point["received"])
            for point in points if point["sent"] or point["received"]}  # fmt: skip


def test_it_works(client: FlaskClient) -> None:
    answer = client.get(f"{URL}?range=7d&compare=previous&tz=Europe/Berlin")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "private, no-cache"
    found = answer.get_json()
    HistoryAnswer().load(found)
    assert found["range"] == {
        "name": "7d", "from": "2026-11-08T23:00:00.000Z", "to": "2026-11-15T12:35:00.000Z",
        "open": True,
    }  # fmt: skip
    assert (found["unit"], found["tz"], len(found["points"])) == ("day", "Europe/Berlin", 7)
    assert figures(found["points"]) == {
        "2026-11-12T23:00": (1, 1), "2026-11-13T23:00": (4, 2), "2026-11-14T23:00": (24, 3),
    }  # fmt: skip
    assert [point.get("partial", False) for point in found["points"]] == [False] * 6 + [True]
    assert found["totals"] == {"sent": 29, "received": 6}
    assert found["comparison"]["totals"] == {"sent": 2, "received": 0}
    assert figures(found["comparison"]["points"]) == {"2026-11-07T23:00": (2, 0)}
    assert found["difference"] == {
        "sent": 27, "received": 6, "sentPercent": 1350.0, "receivedPercent": None,
    }  # fmt: skip
    assert found["since"] == "2025-11-14T12:00:00.000Z"


def test_the_installations_zone_is_the_default(clock: ManualClock) -> None:
    site = AdminSite(clock, time_zone="Asia/Kolkata")
    count(site, "2026-11-14T18:29", 1, 0)
    count(site, "2026-11-14T18:30", 2, 0)
    found = site.client().get(f"{URL}?range=today", headers=bearer(TOKEN)).get_json()
    assert found["tz"] == "Asia/Kolkata"
    assert found["totals"] == {"sent": 2, "received": 0}


def test_without_parameters_it_is_the_last_30_days(client: FlaskClient) -> None:
    found = client.get(URL).get_json()
    assert (found["range"]["name"], found["unit"], len(found["points"])) == ("30d", "day", 30)
    assert (found["compare"], found["comparison"], found["difference"]) == ("none", None, None)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("compare", KINDS)
def test_every_range_and_comparison_is_as_described(
    client: FlaskClient, name: str, compare: str
) -> None:
    answer = client.get(f"{URL}?range={name}&compare={compare}")
    assert answer.status_code == 200
    HistoryAnswer().load(answer.get_json())


@pytest.mark.parametrize("unit", UNITS)
def test_units(client: FlaskClient, unit: str) -> None:
    answer = client.get(f"{URL}?from=2026-11-15T09:00:00Z&unit={unit}").get_json()
    assert answer["unit"] == unit
    assert answer["totals"] == {"sent": 16, "received": 3}


@pytest.mark.parametrize("sent", [{}, bearer("wrong")])
def test_it_wants_an_admin(site: AdminSite, sent: dict[str, str]) -> None:
    answer = site.client().get(URL, headers=sent)
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")


def test_a_session_will_do(site: AdminSite) -> None:
    assert site.signed_in().get(URL).status_code == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("unit=second", "unit: Must be one of: minute, hour, day, week, month."),
        ("range=week", "range: Must be one of: hour, 24h, today,"),
        ("compare=last", "compare: Must be one of: none, previous, weekdays, year."),
        ("format=xlsx", "format: Must be one of: json, csv."),
        ("weekStart=friday", "weekStart: Must be one of: monday, sunday, saturday."),
        ("tz=berlin", "Europe/Berlin or UTC; did you mean Europe/Berlin?"),
        ("tz=../../etc/passwd", "tz: Must be an IANA time zone"),
        ("from=monday", "from: must be a date such as 2026-11-30, or a time as in RFC 3339"),
        ("from=2026-11-15T10:00:00+01:00", "write the + of an offset as %2B"),
        ("to=2026-13-01", "to: must be a date"),
        ("from=2026-11-16", "from: must not be in the future"),
        ("from=2026-11-03&to=2026-11-02", "to: must be after from."),
        ("range=7d&from=2026-11-03", "range: Give either range, or from and to."),
        ("range=12m&unit=hour", "at most 750 are allowed; choose day or week or month."),
        ("from=2000-01-01&unit=minute", "at most 750 are allowed; choose month."),
        ("since=2026-11-03", "since: Unknown field."),
        ("unit=day&unit=hour", "unit: given more than once."),
    ],
)  # fmt: skip
def test_bad_parameters_are_explained(client: FlaskClient, query: str, told: str) -> None:
    answer = client.get(f"{URL}?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert told in answer.get_json()["detail"]


def test_a_client_that_has_it_gets_304(site: AdminSite, client: FlaskClient) -> None:
    query = f"{URL}?range=today"
    first = client.get(query)
    again = client.get(query, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    as_csv = client.get(f"{query}&format=csv", headers={"If-None-Match": first.headers["ETag"]})
    assert as_csv.status_code == 200
    count(site, "2026-11-15T12:34", 1, 0)
    site.clock.advance(60)
    after = client.get(query, headers={"If-None-Match": first.headers["ETag"]})
    assert (after.status_code, after.get_json()["totals"]["sent"]) == (200, 17)


def test_csv(client: FlaskClient) -> None:
    answer = client.get(f"{URL}?from=2026-11-13&to=2026-11-15&unit=day&tz=Europe/Berlin&format=csv")
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="dmstats-2026-11-13-to-2026-11-15-by-day.csv"'
    )
    assert answer.data.startswith(b"\xef\xbb\xbfat,local,sent,received,partial\r\n")
    assert list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))[1:] == [
        ["2026-11-12T23:00:00.000Z", "2026-11-13T00:00+01:00", "1", "1", ""],
        ["2026-11-13T23:00:00.000Z", "2026-11-14T00:00+01:00", "4", "2", ""],
        ["2026-11-14T23:00:00.000Z", "2026-11-15T00:00+01:00", "24", "3", "yes"],
    ]


def test_json_has_a_file_name(client: FlaskClient) -> None:
    answer = client.get(f"{URL}?from=2026-11-13&to=2026-11-15&unit=day&compare=year")
    assert answer.headers["Content-Disposition"] == (
        'inline; filename="dmstats-2026-11-13-to-2026-11-15-by-day-vs-year.json"'
    )


def test_csv_has_all_that_is_compared_with(client: FlaskClient) -> None:
    query = "from=2026-02-01&to=2026-02-28&unit=day&compare=previous"
    history = client.get(f"{URL}?{query}").get_json()
    answer = client.get(f"{URL}?{query}&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert len(rows) == 29
    assert history["comparison"]["unmatched"][0]["at"] == "2026-01-29T00:00:00.000Z"
    assert (rows[-1]["at"], rows[-1]["compared_at"]) == ("", "2026-01-29T00:00:00.000Z")
    assert rows[0]["difference_sent"] == "0"
    hours = client.get(f"{URL}?from=2026-11-13T10:00:00Z&to=2026-11-13T16:30:00Z&format=csv")
    name = "dmstats-2026-11-13T1000-to-2026-11-13T1630-by-hour.csv"
    assert name in hours.headers["Content-Disposition"]


class Counting:
    """Counts what a process reads, and can fail or take its time."""

    def __init__(self, site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads, self.seconds, self.fails, self.most, self._now = 0, 0.0, False, 0, 0
        read = site.reads.read
        mutex = threading.Lock()

        def counted(*asked: Any) -> Any:
            with mutex:
                self.reads += 1
                self._now += 1
                self.most = max(self.most, self._now)
            time.sleep(self.seconds)
            with mutex:
                self._now -= 1
            if self.fails:
                raise StoreUnavailable("down")
            return read(*asked)

        monkeypatch.setattr(site.reads, "read", counted)


@pytest.fixture
def counting(site: AdminSite, monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(site, monkeypatch)


TODAY = HistoryRequest(BERLIN, "today")


def test_an_open_range_is_computed_once_in_an_interval(site: AdminSite, counting: Counting) -> None:
    processes = [site.other_process() for _ in range(3)]
    first = processes[0].answer(TODAY)
    for second in range(59):
        assert processes[second % 3].answer(TODAY) == first
        site.clock.advance(1)
    assert counting.reads == 1
    site.clock.advance(1)
    assert processes[1].answer(TODAY) != first
    assert counting.reads == 2
    key = next(key for key in site.redis.scan_iter() if b"today" in key)
    assert 0 < site.redis.pttl(key) <= 60_000


def test_a_range_that_ended_long_ago_is_kept_for_hours(site: AdminSite, counting: Counting) -> None:
    process = site.other_process()
    closed = HistoryRequest(BERLIN, from_text="2026-11-01", to_text="2026-11-13")
    recent = HistoryRequest(BERLIN, from_text="2026-11-01", to_text="2026-11-14")
    for question, expected in ((closed, 1), (recent, 20)):
        counting.reads = 0
        for _ in range(20):
            process.answer(question)
            site.clock.advance(300)
        assert counting.reads == expected, "deliveries may still come for the day before"
    site.clock.advance(CLOSED_SECONDS)
    counting.reads = 0
    process.answer(closed)
    assert counting.reads == 1


def test_however_many_ask_one_computes(site: AdminSite, counting: Counting) -> None:
    """100 admins, four processes, three ranges."""
    counting.seconds = 0.2
    processes = [site.other_process() for _ in range(4)]
    questions = [HistoryRequest(BERLIN, name) for name in ("today", "7d", "12m")]
    with ThreadPoolExecutor(100) as admins:
        answers = list(admins.map(lambda i: processes[i % 4].answer(questions[i % 3]), range(100)))
    assert len({answer.tag for answer in answers}) == 3
    assert counting.reads == 3


def test_when_counting_began_is_read_once_in_an_interval(
    site: AdminSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    first_ms = site.reads.first_ms

    def counted() -> int | None:
        asked.append(first_ms())
        return asked[-1]

    monkeypatch.setattr(site.reads, "first_ms", counted)
    process = site.other_process()
    with ThreadPoolExecutor(20) as admins:
        list(admins.map(process.answer, [HistoryRequest(BERLIN, "all")] * 20))
    assert len(asked) == 1
    site.clock.advance(60)
    process.answer(HistoryRequest(BERLIN, "all"))
    assert len(asked) == 2


def test_few_are_computed_at_once(site: AdminSite, counting: Counting) -> None:
    counting.seconds = 0.05
    process = site.other_process()
    days = [HistoryRequest(BERLIN, from_text=f"2026-10-{day:02}") for day in range(1, 13)]
    with ThreadPoolExecutor(12) as admins:
        list(admins.map(process.answer, days))
    assert (counting.reads, counting.most) == (12, 2)


def test_too_many_get_503_with_retry_after(
    site: AdminSite, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmstats.history.service.WAIT_SECONDS", 0.05)
    counting.seconds = 0.5
    process = site.other_process()
    days = [HistoryRequest(BERLIN, from_text=f"2026-10-{day:02}") for day in range(1, 5)]

    def ask(question: HistoryRequest) -> float:
        try:
            process.answer(question)
        except Unavailable as error:
            return error.retry_after or 0
        return 0

    with ThreadPoolExecutor(4) as admins:
        assert sorted(admins.map(ask, days)) == [0, 0, 2, 2]


def test_without_redis_each_process_computes(site: AdminSite, counting: Counting) -> None:
    server = fakeredis.FakeServer()
    site.redis = fakeredis.FakeRedis(server=server)
    process: HistoryService = site.other_process()
    server.connected = False
    first = process.answer(TODAY)
    for _ in range(10):
        site.clock.advance(5)
        assert process.answer(TODAY) == first
    assert counting.reads == 1
    server.connected = True
    site.clock.advance(11)
    assert process.answer(TODAY) != first
    assert site.other_process().answer(TODAY) == process.answer(TODAY)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"null", b'{"computedAt": "soon"}', b"\xff"])
def test_an_invalid_history_in_redis_is_computed_again(
    site: AdminSite, counting: Counting, garbage: bytes
) -> None:
    first = site.other_process().answer(TODAY)
    for key in site.redis.keys(f"{CACHE_KEY}*"):
        site.redis.set(key, garbage)
    assert site.other_process().answer(TODAY).decoded() == first.decoded()
    assert counting.reads == 2


def test_a_database_that_fails_is_left_alone_for_a_second(
    site: AdminSite, client: FlaskClient, counting: Counting
) -> None:
    counting.fails = True
    for _ in range(5):
        answer = client.get(f"{URL}?range=today")
        assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
        assert answer.headers["Retry-After"] == "1"
    assert counting.reads == 1
    counting.fails = False
    site.clock.advance(1.1)
    assert client.get(f"{URL}?range=today").status_code == 200


def test_documents_are_bounded(
    site: AdminSite, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmstats.history.service.MAX_DOCUMENTS", 400)
    assert client.get(f"{URL}?range=30d&tz=Asia/Tokyo").status_code == 200
    answer = client.get(f"{URL}?range=30d&tz=Asia/Tokyo&compare=previous")
    assert answer.status_code == 400
    assert "at most 400 are allowed: choose a shorter range" in answer.get_json()["detail"]


def test_keys_are_made_by_the_installation(site: AdminSite) -> None:
    histories = HistoryService(
        site.reads, site.redis, site.clock, Metrics(), interval=60,
        key=lambda name: f"shop:{name}",
    )  # fmt: skip
    histories.answer(TODAY)
    assert all(b"shop:admin:stats:history:" in key for key in site.redis.scan_iter())


def test_damaged_buckets_count_as_none(site: AdminSite, client: FlaskClient) -> None:
    contents: list[dict[str, Any]] = [
        {"sent": "7", "received": None}, {"sent": float("nan"), "received": 2.0},
        {"minutes": [1]}, {"minutes": {"x": 1, "5": 3, "6": {"sent": 2}}},
    ]  # fmt: skip
    for hour, content in enumerate(contents):
        at = datetime(2026, 11, 10, hour, tzinfo=UTC)
        site.mongo.db["dmstats_hours"].insert_one({"_id": at, **content})
    query = f"{URL}?from=2026-11-10T00:00:00Z&to=2026-11-10T04:00:00Z&unit="
    assert client.get(f"{query}hour").get_json()["totals"] == {"sent": 0, "received": 2}
    assert client.get(f"{query}minute").get_json()["totals"] == {"sent": 2, "received": 0}


def test_what_was_expected_is_answered_and_saved(site: AdminSite, client: FlaskClient) -> None:
    for week in range(1, 9):
        day = datetime(2026, 11, 14, 12, 10, tzinfo=UTC) - timedelta(weeks=week)
        count(site, f"{day:%Y-%m-%dT%H:%M}", 100 + week, 50)
    count(site, "2026-11-14T12:10", 400, 50)
    query = f"{URL}?from=2026-11-14T12:00:00Z&to=2026-11-14T14:00:00Z&unit=hour"
    plain, banded = client.get(query), client.get(f"{query}&band=true")
    HistoryAnswer().load(banded.get_json())
    assert plain.get_json()["band"] is None
    first, second = banded.get_json()["band"]["points"]
    assert first["weeks"] == 8
    assert first["sent"] == {"median": 104, "low": 70, "high": 139, "outside": "above"}
    assert first["received"]["outside"] is None
    assert second["sent"] == {"median": 0, "low": 0, "high": 3, "outside": None}
    saved = client.get(f"{query}&band=true&format=csv").data.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(saved)))
    assert [rows[0][f"expected_sent{end}"] for end in ("", "_low", "_high", "_outside")] == [
        "104", "70", "139", "above",
    ]  # fmt: skip
    assert client.get("/api/admin/history?band=perhaps").status_code == 400


def test_the_last_full_hours_and_what_was_expected_of_them(
    site: AdminSite, clock: ManualClock
) -> None:
    count(site, "2026-11-15T11:20", 7, 2)
    recent = RecentHours(site.histories, Calendar(ZoneInfo("UTC")), clock)
    assert recent.of("sent", 1) == [(7, 0, 3)]
    assert [value for value, _, _ in recent.of("received", 2)] == [0, 2]
    # A quarter of an hour past each UTC hour, a local hour begins.
    kathmandu = RecentHours(site.histories, Calendar(ZoneInfo("Asia/Kathmandu")), clock)
    assert kathmandu.of("sent", 1) == [(7, 0, 3)]
