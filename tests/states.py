"""Passes over the accounts on mongomock, which knows no bulk writes of the driver's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from bson import encode

from dmstats.core.clock import Clock
from dmstats.db.client import Mongo
from dmstats.db.collection_names import ACCOUNT_STATES
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythms
from dmstats.db.states.state_store import BATCH, FIELDS, Changed, StateStore
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.states.background import StatePass


class MockStateStore(StateStore):
    """Has what it writes in ``written``, deletes in ``deleted``, and how many it decodes."""

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(mongo, TransactionRunner(mongo))
        self._collection = mongo.db[ACCOUNT_STATES]
        self.written: list[str] = []
        self.deleted: list[str] = []
        self.decoded = 0

    def accounts(self) -> Iterator[list[bytes]]:
        found = self._accounts.find({"instagramId": {"$gte": ""}}, FIELDS).sort("instagramId", 1)
        each = iter(found)
        while batch := [encode(document) for document in islice(each, BATCH)]:
            yield batch

    def account(self, document: bytes) -> Account | None:
        self.decoded += 1
        return super().account(document)

    def write(self, changed: Sequence[Changed], gone: Sequence[str]) -> None:
        for state, seen, _ in changed:
            self._collection.replace_one({"_id": state.account}, state.document(seen), upsert=True)
        for name in gone:
            self._collection.delete_one({"_id": name})
        self.written += [each.state.account for each in changed]
        self.deleted += gone


def state_pass(mongo: Mongo, clock: Clock, *, monthly_limit: int = 0) -> MockStateStore:
    """Go over all accounts once."""
    store = MockStateStore(mongo)
    for _ in StatePass(store, Rhythms(mongo), clock, monthly_limit=monthly_limit).steps():
        pass
    return store
