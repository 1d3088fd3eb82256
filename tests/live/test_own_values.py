"""Any value in any field of our own documents costs at most that value.

OWN_EXAMPLES=500 python -m pytest tests/live/test_own_values.py tries more.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
import redis
from bson.errors import BSONError
from hypothesis import given, note
from hypothesis import strategies as st
from pymongo.errors import PyMongoError

from dmstats.commit.batch import Batch, Submission
from dmstats.commit.batch_writer import BatchWriter
from dmstats.core.clock import ManualClock
from dmstats.db.audit.activity_store import Activities
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.audit.platform_changes import PlatformChanges
from dmstats.db.client import Mongo
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.counting.reconciliation import read_place_sums
from dmstats.ops.jobs import keep_partitions
from tests.auditing import Auditing, auditing, event
from tests.bson_values import slow_examples, values
from tests.kept import KeptCollections
from tests.statsworker import StatsWorker

pytestmark = [pytest.mark.live, pytest.mark.slow(35)]

Place = tuple[str, Any, tuple[str, ...]]
LEFT_OUT = ("dmstats_migrations", "dmstats_installation", "dmstats_admins", "dmstats_sessions")
"""Which have tests of their own."""
TRUTH = ("dmstats_ledger_",)
"""What the counters are corrected by; its own loss shows as a difference."""


class Site:
    """Our documents of every kind, and everything that reads them."""

    def __init__(self, store: Auditing, client: redis.Redis, clock: ManualClock) -> None:
        self.store, self.db, self.clock = store, store.db, clock
        self.client = client
        self.writer = BatchWriter(store.batches, clock, lambda _: None)
        self.backlog = AccountBacklog(store.mongo, store.work, clock)
        self._fill()
        names = [
            name
            for name in self.db.list_collection_names()
            if name.startswith("dmstats_") or name == "stats_cache"
        ]
        self.kept = {n: list(self.db[n].find()) for n in sorted(names) if n not in LEFT_OUT}
        self.accounts = list(self.db["instagram_accounts"].find())
        self._all = KeptCollections(
            store.mongo,
            lambda name: (
                name not in LEFT_OUT
                and (name.startswith("dmstats_") or name in {"stats_cache", "instagram_accounts"})
            ),
        )

    def _fill(self) -> None:
        now = self.clock.now_ms
        self.store.count(*self.store.traffic(now()))
        self.clock.advance(9 * 86_400)
        keep_partitions(self.store.ledger, self.store.archive, now())
        self.store.count(*self.store.traffic(now()))
        self.db["instagram_accounts"].insert_one({"instagramId": "odd", "dmUsed": None})
        self.count("odd")
        self.backlog.drain()
        self.db["instagram_accounts"].update_one({"instagramId": "b"}, {"$inc": {"dmUsed": 3}})
        self.store.audit()
        self.refresh()

    def places(self) -> list[Place]:
        """Every field, nested ones too, of every document; not the ``_id``."""
        found: list[Place] = []
        for name, documents in self.kept.items():
            for document in documents:
                found += [(name, document["_id"], path) for path in _paths(document) if path]
        return found

    def restore(self) -> None:
        """As it was before."""
        self._all.restore()
        self.client.flushall()

    def set(self, place: Place, value: Any) -> bool:
        """Whether the database stores that value there."""
        name, key, path = place
        document = next(copy.deepcopy(d) for d in self.kept[name] if d["_id"] == key)
        inner = document
        for field in path[:-1]:
            inner = inner[field]
        inner[path[-1]] = value
        try:
            self.db[name].replace_one({"_id": key}, document)
        except (PyMongoError, BSONError, OverflowError, ValueError):
            return False
        return True

    def count(self, account: str) -> None:
        """One DM, as a worker counts it."""
        row = event(self.clock.now_ms(), account=account)
        batch = Batch([Submission([row], rejected=0, deadline=self.clock.monotonic() + 5)],
                      started=0)  # fmt: skip
        self.writer.write(batch)
        assert batch.outcomes()[0].sent == 1

    def refresh(self) -> dict[str, Any]:
        """As a new worker does it."""
        worker = StatsWorker(self.store.mongo, self.client, self.clock)
        worker.reader.current()
        worker.population_counts.tick()
        snapshot = worker.refresher.refresh().snapshot
        worker.reader.current()
        return snapshot

    def read_the_rest(self) -> None:
        """What the account page and the doctor read."""
        Activities(self.store.mongo).of("a")
        OddDocuments(self.store.mongo).listed()
        PlatformChanges(self.store.mongo).newest(20)
        self.backlog.waiting()


def _paths(value: Any) -> Iterator[tuple[str, ...]]:
    yield ()
    if isinstance(value, dict):
        for field, inner in value.items():
            if field != "_id":
                yield from ((field, *path) for path in _paths(inner))


@pytest.fixture
def site(mongo: Mongo, redis_client: redis.Redis, clock: ManualClock) -> Iterator[Site]:
    with auditing(mongo, clock) as store:
        yield Site(store, redis_client, clock)


def test_it_works(site: Site) -> None:
    assert {name for name, _, _ in site.places()} >= {
        "stats_cache", "dmstats_hours", "dmstats_days", "dmstats_account_backlog",
        "dmstats_account_changes", "dmstats_account_activity", "dmstats_ledger_other",
        "dmstats_ledger_archive", "dmstats_ledger_archive_hours",
        "dmstats_ledger_archive_accounts",
    }  # fmt: skip
    exercise(site, [])


@slow_examples(8)
@given(data=st.data())
def test_any_value_in_any_field_affects_only_itself(site: Site, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(site.places()))
    value = data.draw(values)
    note(f"{place} {value!r}")
    try:
        if site.set(place, value):
            exercise(site, [place])
    finally:
        site.restore()


def exercise(site: Site, odd: Sequence[Place]) -> None:
    """Count, refresh, drain, archive, audit, repair; then all counters are right."""
    before = {account["instagramId"]: account["dmUsed"] for account in site.accounts}
    site.count("a")
    site.refresh()
    site.read_the_rest()
    site.backlog.drain()
    keep_partitions(site.store.ledger, site.store.archive, site.clock.now_ms())
    first = site.store.audit()
    site.store.audit(repair=True)
    again = site.store.audit(repair=True)
    assert again.repaired == again.differences == []
    if not any(name.startswith(TRUTH) for name, _, _ in odd):
        accounts = {a["instagramId"]: a["dmUsed"] for a in site.db["instagram_accounts"].find()}
        assert accounts == before | {"a": before["a"] + 1}
        assert all(d.place not in {"accounts", "months"} for d in first.differences)
        sums = read_place_sums(site.store.mongo, site.store.ledger)
        assert sums["hours"] == sums["days"] == sums["global"]
    snapshot = site.refresh()
    with suppress(TypeError):  # unknown only while the total itself is
        assert snapshot["totalDMsSent"] > 0
