"""Each account's recent activity, as counted by the last finished audit.

Commits do not write hourly counters per account; an audit computes them anyway.
``dmstats_account_activity`` holds several accounts per document (a chunk), and the ``index``: the
chunks of the last audit by their first account. Replacing the index publishes all chunks of a new
audit at once.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Collection, Mapping
from itertools import compress
from typing import Annotated, TypeVar

import msgspec
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from dmstats.core.clock import DAY_MS, HOUR_MS, day_start, hour_start, to_datetime
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_ACTIVITY
from dmstats.db.states.rhythms import INDEX, SUFFIX, Rhythm, account_of, packed

T = TypeVar("T")

CHUNK = 200
"""Accounts in one document: some 100 kB, since an account takes about 500 bytes."""

TRIES = 3
MAX_PERIODS = 100_000
"""More hours or days are not read: something else wrote the document."""

Counts = tuple[int, int]
"""DMs sent and received."""


class AccountActivity(msgspec.Struct, array_like=True):
    """One account's counts by hour and by day, oldest first.

    Stored as MessagePack, in which a small number takes a byte; in BSON it would take eight.
    """

    hours_sent: list[int]
    hours_received: list[int]
    days_sent: list[int]
    days_received: list[int]

    @classmethod
    def empty(cls, hours: int, days: int) -> AccountActivity:
        """No DMs in this number of hours and days."""
        return cls([0] * hours, [0] * hours, [0] * days, [0] * days)


class Activity(msgspec.Struct, frozen=True):
    """One account's DMs as of ``at_ms``, by the start of the hour and of the day (ms); zeros if it
    had none. The ledger has no rows from before ``since_ms``.
    """

    at_ms: int
    since_ms: int
    hours: dict[int, Counts]
    days: dict[int, Counts]


class ActivityWriter:
    """Writes the activity found by one audit; readers see it after :meth:`publish`."""

    def __init__(self, mongo: Mongo, key: str) -> None:
        self._chunks = mongo.db[ACCOUNT_ACTIVITY]
        self._key = key
        # Unique per process, since another process may continue the same audit.
        self._draft = uuid.uuid4().hex
        self._written: list[tuple[str, str]] = []
        self._moments: list[int] = []

    def keep(
        self,
        first: str,
        at_ms: int,
        since_ms: int,
        accounts: Mapping[str, AccountActivity],
        rhythms: Mapping[str, Rhythm],
        *,
        hours: int,
        days: int,
    ) -> None:
        """Write the activity of accounts from ``first`` on, each with this number of ``hours`` and
        ``days`` up to ``at_ms``, and the ``rhythms``. Call in ascending order of accounts."""
        self._moments.append(at_ms)
        about = {
            "at": to_datetime(at_ms), "since": to_datetime(since_ms), "hours": hours, "days": days,
        }  # fmt: skip
        names = sorted(accounts.keys() | rhythms.keys())
        chunks: list[Document] = []
        for start in range(0, max(1, len(names)), CHUNK):
            chunk_id = f"{self._draft}:{len(self._written)}"
            chunk = names[start : start + CHUNK]
            content = [(name, msgspec.msgpack.encode(accounts[name]))
                       for name in chunk if name in accounts]  # fmt: skip
            self._written.append((first if start == 0 else names[start], chunk_id))
            whose = {"pass": self._key, "draft": self._draft}
            chunks.append({"_id": chunk_id, **whose, **about, "accounts": content})
            of_chunk = {"_id": chunk_id + SUFFIX, **whose, "accounts": packed(rhythms, chunk)}
            chunks.append(of_chunk)
        with translated():
            self._chunks.insert_many(chunks)

    def publish(self, under_way: Collection[str], now_ms: int) -> bool:
        """Publish these chunks, and delete all others except those of audits ``under_way``.

        If the published audit ended after this one began, it may be newer for some accounts: then
        this one's chunks are deleted instead, and the result is False. A published audit with an
        end in the future (a clock was wrong) is always replaced.
        """
        if not self._moments:
            return False
        index = {
            "draft": self._draft, "chunks": self._written, "until": to_datetime(max(self._moments)),
        }  # fmt: skip
        may_go = [
            {"until": {"$not": {"$gt": to_datetime(min(self._moments))}}},
            {"until": {"$gt": to_datetime(now_ms)}},
        ]
        others = [key for key in under_way if key != self._key]
        with translated():
            try:
                self._chunks.replace_one({"_id": INDEX, "$or": may_go}, index, upsert=True)
            except DuplicateKeyError:  # the published index may not be replaced
                self._chunks.delete_many({"_id": {"$ne": INDEX}, "draft": self._draft})
                return False
            # Delete only documents that have the fields of a chunk.
            older = {
                "draft": {"$type": "string", "$ne": self._draft},
                "pass": {"$type": "string", "$nin": others},
                "accounts": {"$type": "array"},
            }
            self._chunks.delete_many({"_id": {"$ne": INDEX}} | older)
        return True


def leave_out(database: Database[Document], low: str, high: str) -> None:
    """Remove the accounts from ``low`` up to, but without, ``high`` from what the last audit
    published."""
    chunks = database[ACCOUNT_ACTIVITY]
    while not _left_out(chunks, low, high):
        pass  # an audit was published in the meantime


def _left_out(chunks: MongoCollection[Document], low: str, high: str) -> bool:
    """Whether that was done to the audit that is published now."""
    found = chunks.find_one({"_id": INDEX}) or {}
    index = _read(found, _Index)
    if index is None:
        return True
    places = index.chunks
    kept: list[tuple[str, str]] = []
    for place, (first, key) in enumerate(places, 1):
        ended = place < len(places) and places[place][0] <= low
        if first >= high or ended:
            kept.append((first, key))
            continue
        # With the rhythms, which stand beside the activity.
        others = _without(chunks, key, low, high) + _without(chunks, key + SUFFIX, low, high)
        # A chunk may begin with one of them; an empty one needs no entry.
        if not low <= first < high:
            kept.append((first, key))
        elif others:
            kept.append((min(others), key))
    draft = found.get("draft")
    same = draft if typed.is_text(draft) else {"$not": {"$type": "string"}}
    wanted = {"_id": INDEX, "draft": same}
    return bool(chunks.update_one(wanted, {"$set": {"chunks": kept}}).matched_count)


def _without(chunks: MongoCollection[Document], chunk_id: str, low: str, high: str) -> list[str]:
    """Remove these accounts from one document; the others in it."""
    stored = (chunks.find_one({"_id": chunk_id}) or {}).get("accounts")
    entries = stored if isinstance(stored, list) else []
    names = [account_of(each) for each in entries]
    others = [each is None or not low <= each < high for each in names]
    if not all(others):
        rest = list(compress(entries, others))
        chunks.update_one({"_id": chunk_id}, {"$set": {"accounts": rest}})
    return [name for name in compress(names, others) if name is not None]


class Activities:
    """Reads what the last finished audit published."""

    def __init__(self, mongo: Mongo) -> None:
        self._chunks = mongo.db[ACCOUNT_ACTIVITY]

    def of(self, account: str) -> Activity | None:
        """The activity of ``account``, in two reads by id; None before the first finished audit."""
        found = self._chunk_of(account)
        return None if found is None else _activity(found, account)

    def names(self, account: str) -> bool:
        """Whether the last finished audit found DMs of ``account``; two reads by id."""
        accounts = (self._chunk_of(account) or {}).get("accounts")
        listed = accounts if isinstance(accounts, list) else []
        return any(isinstance(each, list) and each[:1] == [account] for each in listed)

    def _chunk_of(self, account: str) -> Document | None:
        for _ in range(TRIES):
            index = _read(self._one(INDEX), _Index)
            if index is None or not index.chunks:
                break
            firsts = [first for first, _ in index.chunks]
            _, chunk_id = index.chunks[max(0, bisect_right(firsts, account) - 1)]
            found = self._one(chunk_id)
            if found is not None:
                return found
            # A newer audit was published between the two reads.
        return None

    def _one(self, key: str) -> Document | None:
        with translated():
            return self._chunks.find_one({"_id": key})


class _Index(msgspec.Struct):
    chunks: list[tuple[str, str]]


class _Chunk(msgspec.Struct):
    hours: Annotated[int, msgspec.Meta(ge=1, le=MAX_PERIODS)]
    days: Annotated[int, msgspec.Meta(ge=1, le=MAX_PERIODS)]


def _read(found: Document | None, shape: type[T]) -> T | None:
    """Parse one of our documents; None if it does not have the expected shape."""
    try:
        return msgspec.convert(typed.json_ready(found), shape)
    except msgspec.ValidationError:
        return None


def _activity(found: Document, account: str) -> Activity | None:
    chunk, accounts = _read(found, _Chunk), found.get("accounts")
    at_ms, since_ms = (typed.own_moment(found.get(name)) for name in ("at", "since"))
    if chunk is None or at_ms is None or since_ms is None or not isinstance(accounts, list):
        return None
    counts = AccountActivity.empty(chunk.hours, chunk.days)
    try:
        for name, packed in accounts:
            if name == account:
                counts = msgspec.msgpack.decode(packed, type=AccountActivity)
        return Activity(
            at_ms,
            since_ms,
            _by_start(counts.hours_sent, counts.hours_received, hour_start(at_ms), HOUR_MS),
            _by_start(counts.days_sent, counts.days_received, day_start(at_ms), DAY_MS),
        )
    except (TypeError, ValueError):  # written by another version
        return None


def _by_start(sent: list[int], received: list[int], last: int, step: int) -> dict[int, Counts]:
    first = last - (len(sent) - 1) * step
    pairs = zip(sent, received, strict=True)
    return {first + place * step: pair for place, pair in enumerate(pairs)}
