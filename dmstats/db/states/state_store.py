"""Reads what the states are computed from, and writes what changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple, cast

from bson import decode
from bson.errors import BSONError
from pymongo import DeleteOne, InsertOne, ReplaceOne
from pymongo.cursor import RawBatchCursor

from dmstats.core.clock import HOUR_MS, to_datetime
from dmstats.core.errors import DmstatsError, PoisonError, Repeated, StoreUnavailable
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import (
    ACCOUNT_BACKLOG,
    ACCOUNT_STATES,
    ACCOUNTS,
    HOURS,
    STATS_CACHE,
)
from dmstats.db.counting.backlog_documents import account_of
from dmstats.db.documents import ACCOUNT_FIELDS, Account, account, bucket, by_start
from dmstats.db.states.state_record import AccountState
from dmstats.db.states.summary import SUMMARY, StateFilter, Summary, summary
from dmstats.db.transaction_runner import TransactionRunner

DIGEST_BYTES = 8
BATCH = 250
"""Documents that are read and decoded at once: other greenlets wait for some milliseconds."""
MAX_ID_LENGTH = 1_000
"""Characters. Some engines index no longer texts, and Instagram's ids have 17 digits."""
MAX_REFUSED = 100_000
FIELDS = dict.fromkeys(
    ["instagramId", *(name for name in ACCOUNT_FIELDS if name != "ledgerBase")], 1
)
"""No state depends on ``ledgerBase``."""
KEPT_FIELDS = {"kept": 1, "seen": 1}


class Changed(NamedTuple):
    """States to write, with the digest of the account's document. Of a new one none are stored."""

    state: AccountState
    seen: bytes
    is_new: bool


class KeptState(NamedTuple):
    """What a pass has to know of the one before it."""

    account: str
    seen: bytes
    packed: object


class StateStore:
    """For a full pass one cursor each for accounts and states, both in the order of ids: the
    embedded database reads the whole collection for a range. Methods raise
    :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo, work: TransactionRunner) -> None:
        self._work = work
        self._accounts = mongo.replica[ACCOUNTS]
        self._fields: dict[str, int] | None = None
        self._backlog = mongo.db[ACCOUNT_BACKLOG]
        self._states = mongo.db[ACCOUNT_STATES]
        self._hours = mongo.db[HOURS]
        self._cache = mongo.db[STATS_CACHE]

    @property
    def is_narrow(self) -> bool:
        """Whether :meth:`narrow` was called."""
        return self._fields is not None

    def narrow(self) -> None:
        """From now on, read only the fields of accounts that states depend on.

        At first whole documents are read: to leave out fields costs the compiled server five times
        what reading costs it.
        """
        self._fields = FIELDS

    def accounts(self) -> Iterator[list[bytes]]:
        """The documents of all accounts whose id is a string, in batches and not decoded, since
        most have not changed; the same id may come twice."""
        found = self._accounts.find_raw_batches({"instagramId": {"$gte": ""}}, self._fields)
        return self._raw(found.sort("instagramId", 1))

    def documents(self) -> Iterator[list[bytes]]:
        """All documents in the order in which they are stored, which costs the database least."""
        return self._raw(self._accounts.find_raw_batches({}, self._fields))

    def documents_of(self, names: Collection[str]) -> list[bytes]:
        """The documents of these accounts, not decoded."""
        found = self._accounts.find_raw_batches({"instagramId": {"$in": [*names]}}, self._fields)
        return [document for batch in self._raw(found) for document in batch]

    @staticmethod
    def _raw(found: RawBatchCursor[Document]) -> Iterator[list[bytes]]:
        each = iter(found.batch_size(BATCH))
        while True:
            with translated():
                batch = next(each, None)
            if batch is None:
                return
            yield [*_documents(cast(bytes, batch))]

    def account(self, document: bytes) -> Account | None:
        """Decode one; None if its id is too long (:data:`MAX_ID_LENGTH`) or unreadable."""
        try:
            content = decode(document, self._accounts.codec_options)
        except BSONError:
            return None
        content.pop("ledgerBase", None)
        found = account(content)
        named = "instagramId" not in found.odd and len(found.instagram_id) <= MAX_ID_LENGTH
        return found if named else None

    def kept(self) -> Iterator[KeptState]:
        """The states that are stored. Also deletes documents whose ``_id`` is not a string, which a
        bad restore may have left."""
        each = iter(self._states.find({}, KEPT_FIELDS).sort("_id", 1).batch_size(BATCH))
        while documents := _next(each):
            odd = [found["_id"] for found in documents if not typed.is_text(found["_id"])]
            if odd:
                with suppress(PoisonError), translated():
                    self._states.delete_many({"_id": {"$in": odd}})
            yield from _kept(documents)

    def kept_of(self, names: Collection[str]) -> dict[str, KeptState]:
        """The stored states of these accounts."""
        with translated():
            found = list(self._states.find({"_id": {"$in": [*names]}}, KEPT_FIELDS))
        return {each.account: each for each in _kept(found)}

    def seen_as(self, digests: Collection[bytes]) -> set[str]:
        """The accounts whose states were computed from these documents; reads all states."""
        with translated():
            found = list(self._states.find({"seen": {"$in": [*digests]}}, {"_id": 1}))
        return {row["_id"] for row in found if typed.is_text(row["_id"])}

    def refused(self) -> set[str]:
        """The accounts whose documents do not take what was counted, at most
        :data:`MAX_REFUSED`."""
        wanted = {"attention": True}
        with translated():
            found = self._backlog.find(wanted, {"account": 1}).limit(MAX_REFUSED)
            return set(map(account_of, found))

    def sent_in(self, hours: Iterable[int]) -> dict[int, int]:
        """The DMs of all accounts that were sent in these hours (since the epoch); those of which
        that is unknown are left out."""
        starts = {hour * HOUR_MS: hour for hour in hours}
        with translated():
            found = list(self._hours.find({"_id": {"$in": [*map(to_datetime, starts)]}}))
        sent = {starts[at]: bucket(each)[0] for at, each in by_start(found).items()}
        return {hour: n for hour, n in sent.items() if n is not None}

    def write(self, changed: Sequence[Changed], gone: Sequence[str]) -> bool:
        """Write these states, with the digests of their accounts' documents, and delete those of
        accounts that are gone. States that the database refuses are left out; then the result is
        False."""
        # Inserts first: as one command they cost a tenth of single upserts.
        writes: list[InsertOne[Document] | ReplaceOne[Document] | DeleteOne] = [
            InsertOne(each.state.document(each.seen)) for each in changed if each.is_new
        ]
        writes += [
            ReplaceOne({"_id": each.state.account}, each.state.document(each.seen), upsert=True)
            for each in changed
            if not each.is_new
        ]
        writes += [DeleteOne({"_id": name}) for name in gone]
        if not writes:
            return True
        try:
            # In one commit: a server that waits for the disk does so once.
            self._work.run_transaction(
                lambda session: self._states.bulk_write(writes, session=session)
            )
        except StoreUnavailable:
            raise
        except DmstatsError:
            # Unordered: the others are written.
            with suppress(PoisonError, Repeated), translated():
                self._states.bulk_write(writes, ordered=False)
                return True
            return False
        return True

    def counted(self) -> int:
        """How many accounts the last pass has found, of this or an earlier leader; 0 if unknown."""
        with translated():
            found = summary(self._cache.find_one({"_id": SUMMARY}) or {})
        return found.totals(StateFilter()).accounts if found else 0

    def finish(self, found: Summary) -> None:
        """Store what a whole pass has found."""
        with translated():
            self._cache.replace_one({"_id": SUMMARY}, found.document(), upsert=True)


def digest_of(document: bytes) -> bytes:
    """Differs if the document does."""
    return blake2b(document, digest_size=DIGEST_BYTES).digest()


def _documents(batch: bytes) -> Iterator[bytes]:
    """The BSON documents of a batch; each begins with its length."""
    place = 0
    while place < len(batch):
        end = place + int.from_bytes(batch[place : place + 4], "little")
        yield batch[place:end]
        place = end


def _kept(found: Iterable[Document]) -> Iterator[KeptState]:
    for each in found:
        if typed.is_text(each["_id"]):
            seen = each.get("seen")
            yield KeptState(each["_id"], seen if isinstance(seen, bytes) else b"", each.get("kept"))


def _next(found: Iterator[Document]) -> list[Document]:
    with translated():
        return list(islice(found, BATCH))
