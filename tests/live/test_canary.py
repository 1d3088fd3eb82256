"""The canary in a running service: it comes back, and no total knows of it."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from dmstats.commit.batch import Batch, Submission
from dmstats.commit.increments import merge
from dmstats.core.clock import SystemClock
from dmstats.core.records import CANARY, CANARY_ACCOUNT, SENT
from dmstats.db.client import Mongo
from tests.auditing import Auditing, event
from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.servers import wait_until
from tests.visitor import Visitor

pytestmark = pytest.mark.live


def get(service: Started, path: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{service.environ['PORT']}{path}",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
    return text if path == "/metrics" else json.loads(text)


def test_it_works(service: Started) -> None:
    """Within the scheduled refresh, or the one asked for here."""
    visitor = Visitor(service)

    def shown() -> bool:
        visitor.ask("POST", "/api/admin/stats/refresh", Authorization=f"Bearer {TOKEN}")
        canary = get(service, "/api/admin/stats")["canary"]
        return canary is not None and canary["shownMs"] is not None

    wait_until(shown, seconds=150)
    told = get(service, "/metrics")
    for stage in ("counted", "streamed", "shown"):
        assert f'dmstats_canary_seconds_count{{stage="{stage}"}}' in told
    assert 'kind="canary"' not in told
    assert "canary" not in get(service, "/api/admin/stats")["events"]
    path = f"/api/admin/accounts/{CANARY_ACCOUNT}"
    assert visitor.ask("GET", path, Authorization=f"Bearer {TOKEN}").status == 404


def test_it_is_in_the_ledger_and_in_no_total(mongo: Mongo) -> None:
    clock = SystemClock()
    auditing, now = Auditing(mongo, clock), clock.now_ms()
    auditing.migrate()
    canary = event(now, kind=CANARY, account=CANARY_ACCOUNT)
    auditing.count(canary)
    assert auditing.total().keys() == {"_id", "canaryAt"}
    auditing.count(event(now - 1), event(now, kind=CANARY, account=CANARY_ACCOUNT))
    assert auditing.total()["dmsSent"] == 1
    assert [found["instagramId"] for found in mongo.db["instagram_accounts"].find()] == ["a"]
    assert [hour["sent"] for hour in mongo.db["dmstats_hours"].find()] == [1]
    assert auditing.ledger.find_existing([canary]) == {canary.row_id}
    assert auditing.found() == set()
    auditing.transactions.close()


def test_its_answer_counts_nothing() -> None:
    rows = [event(1, kind=CANARY, account=CANARY_ACCOUNT), event(1, kind=SENT)]
    batch = Batch([Submission(rows, rejected=0, deadline=1.0)], started=0.0)
    batch.mark_counted(rows)
    (outcome,) = batch.outcomes()
    assert (outcome.sent, outcome.received, outcome.other, outcome.duplicates) == (1, 0, 0, 0)
    assert merge(rows[:1]).totals == {}
    again = Batch([Submission(rows, rejected=0, deadline=1.0)], started=0.0)
    again.drop_known({row.row_id for row in rows})
    assert (again.duplicates, again.outcomes()[0].duplicates) == (1, 1)  # the DM's
