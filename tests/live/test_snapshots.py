from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dmstats.core.errors import StaleSnapshot, Superseded
from dmstats.db.client import Mongo
from dmstats.db.dashboard.snapshot_store import SnapshotStore

pytestmark = pytest.mark.live

BODY = {"computedAt": "2026-11-15T12:34:56.000Z", "series": {"days": []}}


@pytest.fixture
def store(mongo: Mongo) -> SnapshotStore:
    return SnapshotStore(mongo)


def test_it_works(store: SnapshotStore) -> None:
    assert store.load() is None
    assert store.last_term() == 0
    assert store.save(BODY, 1_794_746_096_789, term=3) == (3, 1)
    stored = store.load()
    assert stored is not None
    assert (stored.version, stored.computed_ms, stored.body) == ("3-1", 1_794_746_096_789, BODY)
    assert store.last_computed_ms() == 1_794_746_096_789
    assert store.last_term() == 3


def test_versions_only_grow(store: SnapshotStore) -> None:
    versions = [store.save(BODY, 0, term=term) for term in (None, 1, None, 1, 4, None, 4)]
    assert versions == sorted(set(versions))
    assert versions[-1] == (4, 7)


def test_an_older_term_is_refused(store: SnapshotStore) -> None:
    store.save(BODY, 5, term=2)
    with pytest.raises(Superseded):
        store.save({}, 6, term=1)
    stored = store.load()
    assert stored is not None
    assert (stored.version, stored.body) == ("2-1", BODY)


def test_what_was_read_before_another_wrote_is_refused(store: SnapshotStore) -> None:
    assert store.last_seq() == 0
    assert store.save(BODY, 5, term=None, after=0) == (0, 1)
    with pytest.raises(StaleSnapshot):
        store.save({}, 6, term=None, after=0)
    with pytest.raises(StaleSnapshot):
        store.save({}, 6, term=3, after=0)
    assert store.save(BODY, 4, term=None, after=1) == (0, 2), "no clock decides"
    assert store.last_seq() == 2


def test_first_writers_at_once_all_get_a_version(mongo: Mongo) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda _: SnapshotStore(mongo).save(BODY, 0, term=1), range(16)))
    assert len(set(versions)) == 16
    assert {term for term, _ in versions} == {1}
    stored = SnapshotStore(mongo).load()
    assert stored is not None
    assert (stored.term, stored.seq) == max(versions)
