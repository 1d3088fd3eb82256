"""HistoryService on a real server: what is read, and that the service answers."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import redis
import urllib3

from dmstats.core.clock import HOUR_MS, ManualClock, hour_start, to_datetime
from dmstats.db.client import Mongo
from dmstats.db.dashboard.history import HistoryStore
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.readings import ReadingsStore
from dmstats.history.calendar import Calendar
from dmstats.history.service import HistoryRequest, HistoryService
from dmstats.ops.metrics import Metrics
from dmstats.snapshot.build import build
from dmstats.snapshot.zoned import required_buckets
from dmstats.web.schema.history_schemas import HistoryAnswer
from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.servers import Redis
from tests.webserver import TOKEN as WEB_TOKEN
from tests.webserver import WebServer, serving

pytestmark = pytest.mark.live

HOURS = 60 * 24
ADMINS, CHANGES = 100, 4
VIEWS = (
    *(f"range={name}" for name in ("hour", "24h", "today", "7d", "30d", "90d", "month", "12m")),
    "range=30d&compare=previous", "range=30d&band=true", "range=7d&unit=hour&tz=Asia/Kolkata",
    "range=all",
)  # fmt: skip
KOLKATA = Calendar(ZoneInfo("Asia/Kolkata"))


@pytest.fixture
def counted(mongo: Mongo, clock: ManualClock) -> Mongo:
    """Sixty days of it."""
    fill(mongo, clock.now_ms())
    return mongo


def fill(mongo: Mongo, now_ms: int) -> None:
    """An hour has one DM sent at its start, and two received 30 minutes later."""
    start = hour_start(now_ms) - (HOURS - 1) * HOUR_MS
    minutes = {"0": {"sent": 1}, "30": {"received": 2}}
    hours = [{"_id": to_datetime(start + i * HOUR_MS), "sent": 1, "received": 2,
              "minutes": minutes} for i in range(HOURS)]  # fmt: skip
    mongo.db["dmstats_hours"].insert_many(hours)
    days: dict[datetime, int] = {}
    for hour in hours:
        day = to_datetime(start).replace(hour=0) + timedelta(
            days=(hour["_id"].date() - to_datetime(start).date()).days  # type: ignore[attr-defined]
        )
        days[day] = days.get(day, 0) + 1
    mongo.db["dmstats_days"].insert_many(
        [{"_id": day, "sent": n, "received": 2 * n} for day, n in days.items()]
    )


def histories(mongo: Mongo, client: redis.Redis, clock: ManualClock) -> HistoryService:
    return HistoryService(HistoryStore(mongo), client, clock, Metrics(), interval=60)


def test_it_works(counted: Mongo, redis_client: redis.Redis, clock: ManualClock) -> None:
    first, second = (histories(counted, redis_client, clock) for _ in range(2))
    question = HistoryRequest(KOLKATA, "30d", kind="previous")
    answer = first.answer(question)
    assert second.answer(question) == answer
    found = answer.decoded()
    HistoryAnswer().load(found)
    # Days begin at 18:30: just when two DMs of the hour are received.
    assert {(point["sent"], point["received"]) for point in found["points"][:-1]} == {(24, 48)}
    assert found["points"][-1] == {
        "at": "2026-11-14T18:30:00.000Z", "sent": 18, "received": 38, "partial": True,
    }  # fmt: skip
    assert found["difference"] | {"sentPercent": 0} == {
        "sent": 0, "received": 0, "sentPercent": 0, "receivedPercent": 0.0,
    }  # fmt: skip
    assert found["since"] == "2026-09-16T13:00:00.000Z"


def test_all_units_have_the_same_totals(
    counted: Mongo, redis_client: redis.Redis, clock: ManualClock
) -> None:
    service = histories(counted, redis_client, clock)
    for zone in ("UTC", "America/Los_Angeles", "Asia/Kathmandu"):
        calendar = Calendar(ZoneInfo(zone))
        totals = [
            service.answer(HistoryRequest(calendar, "30d", unit=unit)).decoded()["totals"]
            for unit in ("hour", "day", "week", "month")
        ]
        assert totals == [totals[0]] * 4


def test_a_refresh_in_another_zone_takes_one_query_more(counted: Mongo, clock: ManualClock) -> None:
    store = ReadingsStore(counted, PopulationCounts(counted, clock))
    now, more = clock.now_ms(), required_buckets(clock.now_ms(), KOLKATA)
    readings = store.read(now, more.days, more.hours, more.minutes)
    assert readings.queries == 7
    snapshot = build(readings, now, 0, KOLKATA)
    assert (snapshot["today"]["sent"], snapshot["today"]["received"]) == (18, 38)
    assert {(day["sent"], day["received"]) for day in snapshot["series"]["days"][:-1]} == {(24, 48)}


def test_the_service_answers(service: Started) -> None:
    url = f"http://127.0.0.1:{service.environ['PORT']}/api/admin/history?tz=Europe/Berlin"
    for _ in range(4):  # of either worker
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            HistoryAnswer().load(json.load(answer))


def test_a_hundred_admins_who_all_change_ranges(
    mongodb_uri: str, redis_server: Redis, tmp_path: Path
) -> None:
    """Two workers compute each range once in an interval, however many ask for it at once."""
    web = WebServer(
        tmp_path,
        SimpleNamespace(uri=mongodb_uri),
        redis_server,
        workers=2,
        settings={"STATS_REFRESH_INTERVAL": "600"},
    )
    with serving(web), redis.Redis.from_url(redis_server.url) as client:
        fill(web.mongo, time.time_ns() // 1_000_000)
        start = threading.Barrier(ADMINS)

        def admin(seed: int) -> list[str]:
            start.wait()
            wanted = random.Random(seed).sample(VIEWS, CHANGES)
            return [tag_of(http, f"{web.url}/api/admin/history?{view}") for view in wanted]

        with (
            ThreadPoolExecutor(ADMINS) as admins,
            urllib3.PoolManager(maxsize=ADMINS, retries=False) as http,
        ):
            tags = {tag for found in admins.map(admin, range(ADMINS)) for tag in found}
        # A range that begins with the minute is another one in the next minute.
        ranges = [key for key in client.scan_iter("*admin:stats:history:*") if b":lock:" not in key]
        assert len(ranges) >= len(VIEWS)
        assert (web.log.count('"history_computed"'), len(tags)) == (len(ranges), len(ranges))


def tag_of(http: urllib3.PoolManager, url: str) -> str:
    headers = {"Authorization": f"Bearer {WEB_TOKEN}"}
    answer = http.request("GET", url, headers=headers, timeout=60)
    assert answer.status == 200
    return answer.headers["ETag"]
