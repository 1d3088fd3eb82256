"""A backup, a loss, a restore, and the audit after it, as docs/operations.md tells."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import pytest

from dmstats.core.clock import SystemClock
from dmstats.db import collection_names
from dmstats.db.client import Mongo
from tests.auditing import Auditing, auditing, event

pytestmark = pytest.mark.live

Dump = dict[str, list[dict[str, Any]]]


@pytest.fixture
def store(mongo: Mongo) -> Iterator[Auditing]:
    with auditing(mongo, SystemClock()) as store:
        yield store


def dump(mongo: Mongo, names: Collection[str] = ()) -> Dump:
    """What mongodump writes: one collection after the other, each as it is by then."""
    wanted = names or set(mongo.db.list_collection_names()) - {collection_names.MIGRATIONS}
    return {name: list(mongo.db[name].find()) for name in wanted}


def restore(store: Auditing, kept: Dump) -> None:
    for name in store.db.list_collection_names():
        store.db[name].drop()
    for name, documents in kept.items():
        if documents:
            store.db[name].insert_many(documents)
    store.migrate()


def test_it_works(store: Auditing) -> None:
    now = store.clock.now_ms()
    before = store.traffic(now)
    store.count(*before)
    kept = dump(store.mongo)
    store.count(event(now))  # after the backup, so lost with the disk
    restore(store, kept)
    assert store.found() == set()
    assert store.ledger.find_existing(before) == {row.row_id for row in before}
    store.count(event(now))
    assert store.found() == set()


def test_an_inconsistent_backup_is_repaired(store: Auditing) -> None:
    """Events were counted between the counters' part of the backup and the ledger's."""
    now = store.clock.now_ms()
    store.count(*store.traffic(now))
    kept = dump(store.mongo, ["stats_cache", "dmstats_hours", "dmstats_days", "instagram_accounts"])
    store.count(event(now), event(now, account="new", kind="received"))
    restore(store, dump(store.mongo) | kept)
    assert store.found()
    store.found(repair=True)
    assert store.found() == set()


def test_accounts_dumped_first_are_repaired_on_request(store: Auditing) -> None:
    """They lack more than the hours do, as if the platform had lowered them."""
    now = store.clock.now_ms()
    store.count(event(now))
    accounts = dump(store.mongo, ["instagram_accounts"])
    store.count(event(now), event(now))
    hours = dump(store.mongo, ["dmstats_hours"])
    store.count(event(now))
    restore(store, dump(store.mongo) | accounts | hours)
    outcome = store.audit(repair=True, believe_ledger=True)
    assert outcome.differences == []
    assert (store.db["instagram_accounts"].find_one() or {})["dmUsed"] == 4
    assert store.found() == set()
