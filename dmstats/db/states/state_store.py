"""Reads what the states are computed from, and writes what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from pymongo import DeleteOne, ReplaceOne

from dmstats.core.errors import PoisonError
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_BACKLOG, ACCOUNT_STATES, ACCOUNTS, STATS_CACHE
from dmstats.db.counting.backlog_documents import account_of
from dmstats.db.documents import ACCOUNT_FIELDS, Account, account
from dmstats.db.states.state_record import AccountState
from dmstats.db.states.summary import SUMMARY, Summary

BATCH = 250
"""Documents that are read and decoded at once: other greenlets wait for some milliseconds."""
MAX_ID_LENGTH = 1_000
"""Characters. Some engines index no longer texts, and Instagram's ids have 17 digits."""
MAX_REFUSED = 100_000
FIELDS = dict.fromkeys(
    ["instagramId", *(name for name in ACCOUNT_FIELDS if name != "ledgerBase")], 1
)
"""``ledgerBase`` is not read: no state depends on it, and it would take a sixth of the time.
"""
KEPT_FIELDS = {"digest": 1, "inactiveSince": 1}


class KeptState(NamedTuple):
    """What a pass has to know of the one before it."""

    account: str
    digest: bytes
    inactive_since_ms: int | None


class StateStore:
    """One cursor each for accounts and states, both in the order of ids: the embedded database
    reads the whole collection for a range. Methods raise
    :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._accounts = mongo.replica[ACCOUNTS]
        self._backlog = mongo.db[ACCOUNT_BACKLOG]
        self._states = mongo.db[ACCOUNT_STATES]
        self._cache = mongo.db[STATS_CACHE]

    def accounts(self) -> Iterator[list[Account]]:
        """All accounts whose id is a string of at most :data:`MAX_ID_LENGTH` characters, in
        batches;
        the same id may come twice."""
        found = self._accounts.find({"instagramId": {"$gte": ""}}, FIELDS)
        each = iter(found.sort("instagramId", 1).batch_size(BATCH))
        while documents := _next(each):
            read = map(account, documents)
            yield [
                one
                for one in read
                if "instagramId" not in one.odd and len(one.instagram_id) <= MAX_ID_LENGTH
            ]

    def kept(self) -> Iterator[KeptState]:
        """The states that are stored. Also deletes documents whose ``_id`` is not a string, which a
        bad restore may have left."""
        each = iter(self._states.find({}, KEPT_FIELDS).sort("_id", 1).batch_size(BATCH))
        while documents := _next(each):
            odd = [found["_id"] for found in documents if not typed.is_text(found["_id"])]
            if odd:
                with suppress(PoisonError), translated():
                    self._states.delete_many({"_id": {"$in": odd}})
            for found in documents:
                if typed.is_text(found["_id"]):
                    digest, since = found.get("digest"), typed.moment(found.get("inactiveSince"))
                    yield KeptState(
                        found["_id"], digest if isinstance(digest, bytes) else b"", since
                    )

    def refused(self) -> set[str]:
        """The accounts whose documents do not take what was counted, at most
        :data:`MAX_REFUSED`."""
        wanted = {"attention": True}
        with translated():
            found = self._backlog.find(wanted, {"account": 1}).limit(MAX_REFUSED)
            return set(map(account_of, found))

    def write(self, changed: Sequence[AccountState], gone: Sequence[str]) -> None:
        """Write these states, and delete those of accounts that are gone. States that the database
        refuses are left out."""
        writes: list[ReplaceOne[Document] | DeleteOne] = [
            ReplaceOne({"_id": state.account}, state.document(), upsert=True) for state in changed
        ]
        writes += [DeleteOne({"_id": name}) for name in gone]
        if writes:
            # Unordered: the others were written.
            with suppress(PoisonError), translated():
                self._states.bulk_write(writes, ordered=False)

    def finish(self, summary: Summary) -> None:
        """Store what a whole pass has found."""
        with translated():
            self._cache.replace_one({"_id": SUMMARY}, summary.document(), upsert=True)


def _next(found: Iterator[Document]) -> list[Document]:
    with translated():
        return list(islice(found, BATCH))
