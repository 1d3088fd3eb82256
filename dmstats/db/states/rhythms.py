"""Each account's rhythm, as the last finished audit published it beside the activity.

A document for each chunk of ``dmstats_account_activity``, under the chunk's id with :data:`SUFFIX`,
so that the states are computed without reading every account's hours.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dmstats.db import typed
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ACCOUNT_ACTIVITY

INDEX = "index"
SUFFIX = ":rhythm"
AT_ONCE = 20
"""Chunks that are read in one query."""


class Rhythm(msgspec.Struct, array_like=True, frozen=True):
    """What is usual for one account, as of an audit.

    ``hour`` is the audit's, in hours since the epoch. ``days`` are the DMs sent on each UTC day,
    oldest first, up to that hour's day. ``pause_hours`` is its longest usual pause between two DMs,
    and ``busy_day`` the DMs sent on a busy day; each is 0 until enough is known. ``recent`` are the
    DMs sent in the audit's 24 hours, and ``used`` the account's ``dmUsed`` then.
    """

    hour: int
    days: tuple[int, ...]
    pause_hours: int = 0
    busy_day: int = 0
    recent: int = 0
    used: int | None = None


def packed(rhythms: Mapping[str, Rhythm], names: Sequence[str]) -> list[tuple[str, bytes]]:
    """The rhythms of ``names``, as a document holds them."""
    return [(name, msgspec.msgpack.encode(rhythms[name])) for name in names if name in rhythms]


def account_of(entry: object) -> str | None:
    """Whose an entry of a chunk's ``accounts`` is; None if it cannot be read."""
    if isinstance(entry, list) and entry and typed.is_text(entry[0]):
        return str(entry[0])
    return None


class Rhythms:
    """Reads the published rhythms. Methods raise
    :class:`~dmstats.core.errors.StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._chunks = mongo.db[ACCOUNT_ACTIVITY]

    def published(self) -> list[tuple[str, str]]:
        """The chunks by their first account, in ascending order; none before the first audit."""
        with translated():
            index = self._chunks.find_one({"_id": INDEX}) or {}
        try:
            return msgspec.convert(typed.json_ready(index.get("chunks")), list[tuple[str, str]])
        except msgspec.ValidationError:
            return []

    def of_chunk(self, chunk: str) -> dict[str, bytes] | None:
        """The rhythms of one chunk for :func:`unpacked`; None if it was replaced, or holds none."""
        with translated():
            found = self._chunks.find_one({"_id": chunk + SUFFIX})
        return None if found is None else _packed(found)

    def between(self, first: str, end: str) -> dict[str, Rhythm]:
        """The rhythms of accounts from ``first`` up to ``end`` (exclusive; empty: all)."""
        chunks = self.published()
        firsts = [name for name, _ in chunks]
        begin = max(0, bisect_right(firsts, first) - 1)
        after = bisect_left(firsts, end) if end else len(chunks)
        ids = [chunk + SUFFIX for _, chunk in chunks[begin:after]]
        found: dict[str, Rhythm] = {}
        with translated():
            for start in range(0, len(ids), AT_ONCE):
                for document in self._chunks.find({"_id": {"$in": ids[start : start + AT_ONCE]}}):
                    for name, stored in _packed(document).items():
                        if typed.is_text(name) and (rhythm := unpacked(stored)) is not None:
                            found[name] = rhythm
        return {
            name: each for name, each in found.items() if first <= name and (not end or name < end)
        }


def unpacked(stored: object) -> Rhythm | None:
    """Parse a stored rhythm; None if it cannot be read."""
    try:
        return _DECODER.decode(stored)  # type: ignore[arg-type]
    except (msgspec.DecodeError, TypeError, ValueError):  # written by another version
        return None


_DECODER = msgspec.msgpack.Decoder(Rhythm)


def _packed(document: Document) -> dict[str, bytes]:
    accounts: Any = document.get("accounts")
    try:
        return dict(accounts)
    except (TypeError, ValueError):  # something else wrote into it
        listed = accounts if isinstance(accounts, list) else []
        return {each[0]: each[1] for each in listed if account_of(each) and len(each) > 1}
