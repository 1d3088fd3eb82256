"""Migrations: made again after an interruption, harmless beside others, and adding alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymongo
import pytest
from pymongo.collection import Collection
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

import migrations
from dmstats.core.settings import Settings
from dmstats.db import collection_names
from dmstats.db.client import Mongo
from dmstats.db.health import Health

pytestmark = pytest.mark.live

SETTINGS = Settings()
ADDING = {"create", "createIndexes", "find", "insert", "listCollections", "listIndexes", "update"}
"""What the release before this one can go on beside: nothing that it knows is taken or renamed."""


class Heard(CommandListener):
    """The commands that were sent, with what they were about."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append((event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """All the same."""

    def failed(self, event: CommandFailedEvent) -> None:
        """All the same."""


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def overheard(mongo: Mongo, mongodb_uri: str, heard: Heard) -> Iterator[Mongo]:
    """The same database, by a client that is listened to."""
    with pymongo.MongoClient[Any](mongodb_uri, event_listeners=[heard]) as client:
        yield Mongo(client, mongo.db.name, "primary")


def state(mongo: Mongo) -> dict[str, Any]:
    return {
        name: mongo.db[name].index_information()
        for name in sorted(mongo.db.list_collection_names())
        if name != collection_names.MIGRATIONS
    }


def test_it_works(mongo: Mongo) -> None:
    assert migrations.apply(mongo, SETTINGS) == migrations.names()
    assert Health(mongo).missing_indexes() == []
    assert Health(mongo).migrations() == set(migrations.names())
    before = state(mongo)
    assert migrations.apply(mongo, SETTINGS) == []
    assert state(mongo) == before


def test_an_interrupted_run_is_finished_by_the_next(
    mongo: Mongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the indexes of each of the collections in turn."""
    create_indexes, left, lock = Collection.create_indexes, 0, threading.Lock()

    def interrupted(collection: Collection[Any], *args: Any, **kwargs: Any) -> list[str]:
        nonlocal left
        with lock:
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return create_indexes(collection, *args, **kwargs)

    steps = 0
    with monkeypatch.context() as patch:
        patch.setattr(Collection, "create_indexes", interrupted)
        while True:
            left = 1  # each run creates those of one collection more, then is interrupted
            try:
                migrations.apply(mongo, SETTINGS)
                break
            except KeyboardInterrupt:
                steps += 1
    assert steps > 5
    assert Health(mongo).missing_indexes() == []
    assert Health(mongo).migrations() == set(migrations.names())


def test_an_index_that_was_dropped_comes_back(mongo: Mongo) -> None:
    migrations.apply(mongo, SETTINGS)
    mongo.db["instagram_accounts"].drop_index("dmstats_instagramId_unique")
    migrations.apply(mongo, SETTINGS)
    assert Health(mongo).missing_indexes() == []


def test_two_at_once_do_the_same_harmless_work(mongo: Mongo) -> None:
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(migrations.apply, mongo, SETTINGS) for _ in range(2)]
        assert {tuple(run.result()) for run in runs} <= {tuple(migrations.names()), ()}
    assert Health(mongo).missing_indexes() == []


def test_they_only_add(overheard: Mongo, heard: Heard) -> None:
    """So the release before goes on beside the new schema, and there is nothing to undo."""
    migrations.apply(overheard, SETTINGS)
    commands = [(name, command) for name, command in heard.commands if name != "endSessions"]
    assert {name for name, _ in commands} <= ADDING
    written = {command["update"] for name, command in commands if name == "update"}
    assert written == {collection_names.MIGRATIONS}
