"""Passes over the accounts on mongomock, which knows no bulk writes of the driver's."""

from __future__ import annotations

from collections.abc import Sequence

from dmstats.core.clock import Clock
from dmstats.db.client import Mongo
from dmstats.db.collection_names import ACCOUNT_STATES
from dmstats.db.states.rhythms import Rhythms
from dmstats.db.states.state_record import AccountState
from dmstats.db.states.state_store import StateStore
from dmstats.states.background import StatePass


class MockStateStore(StateStore):
    """Counts what it writes in ``written``, and deletes in ``deleted``."""

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(mongo)
        self._collection = mongo.db[ACCOUNT_STATES]
        self.written: list[str] = []
        self.deleted: list[str] = []

    def write(self, changed: Sequence[AccountState], gone: Sequence[str]) -> None:
        for state in changed:
            self._collection.replace_one({"_id": state.account}, state.document(), upsert=True)
        for name in gone:
            self._collection.delete_one({"_id": name})
        self.written += [state.account for state in changed]
        self.deleted += gone


def state_pass(mongo: Mongo, clock: Clock, *, monthly_limit: int = 0) -> MockStateStore:
    """Go over all accounts once."""
    store = MockStateStore(mongo)
    for _ in StatePass(store, Rhythms(mongo), clock, monthly_limit=monthly_limit).steps():
        pass
    return store
