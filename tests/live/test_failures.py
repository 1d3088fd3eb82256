"""What MongoDB fails is told by its name; what two committers do to each other is not."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from pymongo.errors import PyMongoError

from dmstats.core.errors import StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, connect
from dmstats.db.failures import HEARTBEAT, Failures
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.live


def test_it_works(mongodb_uri: str) -> None:
    told: Counter[str] = Counter()
    mongo = connect(
        Settings(mongodb_uri=mongodb_uri, mongodb_db="failures"),
        failures=Failures(lambda name: told.update([name])),
    )
    mongo.ping()
    assert not told
    with contextlib.suppress(PyMongoError):
        mongo.db.command("noSuchCommandOfTheTest")
    assert told == {"noSuchCommandOfTheTest": 1}
    mongo.close()


def test_conflicts_are_not_reported(mongodb_uri: str) -> None:
    told: Counter[str] = Counter()
    mongo = connect(
        Settings(mongodb_uri=mongodb_uri, mongodb_db="failures"),
        failures=Failures(lambda name: told.update([name])),
    )
    mongo.db["met"].update_one({"_id": 1}, {"$set": {"n": 0}}, upsert=True)
    assert _conflict(mongo)
    assert not told
    mongo.client.drop_database("failures")
    mongo.close()


def _conflict(mongo: Mongo) -> bool:
    with mongo.client.start_session() as one, mongo.client.start_session() as other:
        one.start_transaction()
        mongo.db["met"].update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
        other.start_transaction()
        try:
            mongo.db["met"].update_one({"_id": 1}, {"$inc": {"n": 1}}, session=other)
        except PyMongoError as error:
            return error.has_error_label("TransientTransactionError")
        finally:
            one.abort_transaction()
    return False


def test_a_server_that_is_not_there_shows_as_heartbeats() -> None:
    told: Counter[str] = Counter()
    mongo = connect(
        Settings(mongodb_uri=f"mongodb://127.0.0.1:{free_port()}/"),
        failures=Failures(lambda name: told.update([name])),
    )
    with pytest.raises(StoreUnavailable):
        mongo.ping()
    wait_until(lambda: told[HEARTBEAT] > 0)
    mongo.close()
