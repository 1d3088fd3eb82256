"""Passes over the accounts on mongomock, which knows no bulk writes of the driver's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from bson import encode

from dmstats.core.clock import Clock
from dmstats.db.client import Document, Mongo
from dmstats.db.collection_names import ACCOUNT_STATES
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythms
from dmstats.db.states.state_store import BATCH, Changed, StateStore
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.states.passes import StatePass


class MockStateStore(StateStore):
    """Has what it writes in ``written``, deletes in ``deleted``, and how many it decodes."""

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(mongo, TransactionRunner(mongo))
        self._collection = mongo.db[ACCOUNT_STATES]
        self.written: list[str] = []
        self.deleted: list[str] = []
        self.decoded = 0

    def accounts(self) -> Iterator[list[bytes]]:
        return self._encoded({"instagramId": {"$gte": ""}}, "instagramId")

    def documents(self) -> Iterator[list[bytes]]:
        return self._encoded({}, "_id")

    def documents_of(self, names: Collection[str]) -> list[bytes]:
        found = self._encoded({"instagramId": {"$in": [*names]}}, "_id")
        return [document for batch in found for document in batch]

    def _encoded(self, wanted: Document, order: str) -> Iterator[list[bytes]]:
        each = iter(self._accounts.find(wanted, self._fields).sort(order, 1))
        while batch := [encode(document) for document in islice(each, BATCH)]:
            yield batch

    def account(self, document: bytes) -> Account | None:
        self.decoded += 1
        return super().account(document)

    def write(self, changed: Sequence[Changed], gone: Sequence[str]) -> bool:
        for state, seen, _ in changed:
            self._collection.replace_one({"_id": state.account}, state.document(seen), upsert=True)
        for name in gone:
            self._collection.delete_one({"_id": name})
        self.written += [each.state.account for each in changed]
        self.deleted += gone
        return True


def state_pass(mongo: Mongo, clock: Clock, *, monthly_limit: int = 0) -> MockStateStore:
    """Go over all accounts once."""
    store = MockStateStore(mongo)
    for _ in StatePass(store, Rhythms(mongo), clock, monthly_limit=monthly_limit).steps():
        pass
    return store
