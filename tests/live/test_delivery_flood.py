"""2,000 refused deliveries a second: what a worker holds, what it writes, and what is kept."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from dmstats.core.clock import ManualClock
from dmstats.db.client import Mongo
from dmstats.db.delivery_store import KEPT, MAX_NAMES, PARTIAL, REFUSED, DeliveryStore
from dmstats.ops.delivery_details import MAX_NEW_NAMES, MAX_WRITTEN, DeliveryDetails
from dmstats.ops.jobs import DELIVERY_LOG_SECONDS as EVERY_SECONDS
from tests.unit.ingest.test_webhook import Harness

pytestmark = pytest.mark.live

A_SECOND = 2_000
SECONDS = 60


class Commands(CommandListener):
    """Counts the commands by name, and the documents that are written."""

    def __init__(self) -> None:
        self.sent = Counter[str]()
        self.documents = 0

    def started(self, event: CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1
        self.documents += len(event.command.get("documents", ()))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Ignored."""

    def failed(self, event: CommandFailedEvent) -> None:
        raise AssertionError(event.failure)


def test_a_flood_costs_a_few_commands_and_leaves_the_newest(
    mongodb_uri: str, mongo: Mongo, clock: ManualClock
) -> None:
    """By the webhook itself for a second, then by what it calls; nothing depends on the pace."""
    commands = Commands()
    client: Any = pymongo.MongoClient(mongodb_uri, event_listeners=[commands], tz_aware=True)
    watched = Mongo(client, mongo.db.name, "primary")
    details = DeliveryDetails(DeliveryStore(watched), clock)
    harness = Harness(details, clock)
    writes = SECONDS // round(EVERY_SECONDS)
    details.write()
    assert commands.sent == {}
    for write in range(writes):
        for number in range(A_SECOND * round(EVERY_SECONDS)):
            environ = {"dmstats.request_id": f"{write}-{number}"}
            if write == 0 and number < A_SECOND:
                assert harness.post(b"{}", secret="wrong").status_code == 401
            else:
                details.record(environ, None, status=401, reason="no", counts={}, seconds=0.001)
            assert len(details._groups[REFUSED]) <= MAX_WRITTEN
        clock.advance(EVERY_SECONDS)
        details.write()
        assert not any(details._groups.values())
    assert commands.documents == writes * MAX_WRITTEN
    assert commands.sent == {"insert": writes, "find": writes, "delete": writes - 10}
    kept = [record.request_id for record in DeliveryStore(mongo).newest(REFUSED, 5_000)]
    last = A_SECOND * round(EVERY_SECONDS)
    assert set(kept) == {
        f"{write}-{number}"
        for write in range(writes - KEPT[REFUSED] // MAX_WRITTEN, writes)
        for number in range(last - MAX_WRITTEN, last)
    }
    assert mongo.db["dmstats_deliveries"].count_documents({}) == KEPT[REFUSED]
    client.close()


def test_a_flood_of_names_is_bounded(mongodb_uri: str, mongo: Mongo, clock: ManualClock) -> None:
    """Deliveries that are rejected in part, each with a name that never came before."""
    commands = Commands()
    client: Any = pymongo.MongoClient(mongodb_uri, event_listeners=[commands], tz_aware=True)
    watched = Mongo(client, mongo.db.name, "primary")
    details = DeliveryDetails(DeliveryStore(watched), clock)
    harness = Harness(details, clock)
    for write in range(12):
        for number in range(100):
            event = {
                "sender": {"id": "99"},
                "timestamp": 1_785_000_000_000,
                f"n{write}x{number}": {},
            }
            entry = {"id": "17", "time": 1_785_000_000_000, "messaging": [event]}
            body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
            assert harness.post(body).status_code == 200
            assert len(details._names) <= MAX_NEW_NAMES
            assert len(details._groups[PARTIAL]) <= MAX_WRITTEN
        clock.advance(EVERY_SECONDS)
        details.write()
    assert commands.sent["update"] <= MAX_NAMES
    assert mongo.db["dmstats_event_names"].count_documents({}) == MAX_NAMES
    client.close()
