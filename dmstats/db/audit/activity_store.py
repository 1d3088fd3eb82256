"""What each account did lately, as the last audit that ended has counted it.

The commit writes no hours of single accounts; an audit adds them up anyway.
``dmstats_account_activity`` holds some accounts a document (a chunk), and the ``index``: which
chunks the last audit wrote, by their first account. A new audit's chunks are shown at once and only
when all are there.
"""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import msgspec
from pymongo.errors import DuplicateKeyError

from dmstats.core.clock import to_datetime
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_ACTIVITY

T = TypeVar("T")

INDEX = "index"
CHUNK = 200
"""Accounts in one document: some 100 kB, since an account takes about 500 bytes."""

TRIES = 3

Counts = Sequence[tuple[int, int]]
"""DMs sent and received, span after span."""


class Activity(msgspec.Struct, frozen=True):
    """One account's DMs, span after span, as of ``at_ms``; all zero where it had none.

    Nothing is known of what was before ``since_ms``.
    """

    at_ms: int
    since_ms: int
    counts: Counts


class ActivityWriter:
    """What an audit writes; nobody reads it before :meth:`publish`."""

    def __init__(self, mongo: Mongo, key: str, periods: int) -> None:
        self._chunks = mongo.db[ACCOUNT_ACTIVITY]
        self._key = key
        # Of its own also when another process goes on with the same audit.
        self._draft = uuid.uuid4().hex
        self._spans = periods
        self._written: list[tuple[str, str]] = []
        self._moments: list[int] = []

    def keep(self, first: str, at_ms: int, since_ms: int, accounts: Mapping[str, Counts]) -> None:
        """Write what the accounts from ``first`` on did; those of the next call come after them."""
        self._moments.append(at_ms)
        moments = {"at": to_datetime(at_ms), "since": to_datetime(since_ms)}
        names = sorted(accounts)
        chunks = []
        for start in range(0, max(1, len(names)), CHUNK):
            chunk_id = f"{self._draft}:{len(self._written)}"
            content = [(name, *map(list, zip(*accounts[name], strict=True)))
                       for name in names[start : start + CHUNK]]  # fmt: skip
            self._written.append((first if start == 0 else names[start], chunk_id))
            whose = {"pass": self._key, "draft": self._draft}
            chunks.append({"_id": chunk_id, **whose, **moments, "accounts": content})
        with translated():
            self._chunks.insert_many(chunks)

    def publish(self, under_way: Collection[str], now_ms: int) -> bool:
        """Let this be what is read, and drop the chunks of others but of audits ``under_way``.

        False, and this one's chunks go, where the audit that is read ended after this one began:
        what it says of some account may be newer. One that ends in the future (a clock was wrong)
        stands in nobody's way.
        """
        if not self._moments:
            return False
        index = {"draft": self._draft, "periods": self._spans, "chunks": self._written,
                 "until": to_datetime(max(self._moments))}  # fmt: skip
        may_go = [
            {"until": {"$not": {"$gt": to_datetime(min(self._moments))}}},
            {"until": {"$gt": to_datetime(now_ms)}},
        ]
        others = [key for key in under_way if key != self._key]
        with translated():
            try:
                self._chunks.replace_one({"_id": INDEX, "$or": may_go}, index, upsert=True)
            except DuplicateKeyError:  # there is one, and it may not go
                self._chunks.delete_many({"_id": {"$ne": INDEX}, "draft": self._draft})
                return False
            # Only what carries our mark: a chunk has the audit and the draft that wrote it.
            older = {
                "draft": {"$type": "string", "$ne": self._draft},
                "pass": {"$type": "string", "$nin": others},
                "accounts": {"$type": "array"},
            }
            self._chunks.delete_many({"_id": {"$ne": INDEX}} | older)
        return True


class Activities:
    """Reads what the last audit has written."""

    def __init__(self, mongo: Mongo) -> None:
        self._chunks = mongo.db[ACCOUNT_ACTIVITY]

    def of(self, account: str) -> Activity | None:
        """What ``account`` did, in two reads by id; None before the first audit has ended."""
        for _ in range(TRIES):
            index = _read(self._one(INDEX), _Index)
            if index is None or not index.chunks:
                break
            firsts = [first for first, _ in index.chunks]
            _, chunk_id = index.chunks[max(0, bisect_right(firsts, account) - 1)]
            found = self._one(chunk_id)
            if found is not None:
                return _activity(found, account, index.periods)
            # A newer audit has ended between the two reads.
        return None

    def _one(self, key: str) -> Document | None:
        with translated():
            return self._chunks.find_one({"_id": key})


class _Index(msgspec.Struct):
    periods: int
    chunks: list[tuple[str, str]]


class _Chunk(msgspec.Struct):
    accounts: list[tuple[str, list[int], list[int]]]


def _read(found: Document | None, shape: type[T]) -> T | None:
    """A document of ours; None where it is not what was written."""
    try:
        return msgspec.convert(typed.json_ready(found), shape)
    except msgspec.ValidationError:
        return None


def _activity(found: Document, account: str, periods: int) -> Activity | None:
    chunk = _read(found, _Chunk)
    at_ms, since_ms = typed.moment(found.get("at")), typed.moment(found.get("since"))
    if chunk is None or at_ms is None or since_ms is None:
        return None
    counts: Counts = [(0, 0)] * periods
    for name, sent, received in chunk.accounts:
        if name == account:
            counts = list(zip(sent, received, strict=False))
    return Activity(at_ms, since_ms, counts) if len(counts) == periods else None
