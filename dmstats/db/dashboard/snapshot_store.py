"""The stored snapshot: enforces the fencing token, and serves readers when Redis is unavailable."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from dmstats.core.clock import to_datetime
from dmstats.core.errors import PoisonError, StaleSnapshot, StoreUnavailable, Superseded
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import STATS_CACHE

logger = logging.getLogger(__name__)

KEY = "snapshot"
TRIES = 5
FIRST_READ_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot's ``body`` (plain JSON types, without its version), and its term and number.

    The body is not validated here; readers do that.
    """

    term: int
    seq: int
    computed_ms: int
    body: dict[str, Any]

    @property
    def version(self) -> str:
        """``term-seq``, as clients see it."""
        return f"{self.term}-{self.seq}"


class SnapshotStore:
    """Stores the last snapshot in ``stats_cache`` and assigns versions; always on the primary."""

    def __init__(self, mongo: Mongo) -> None:
        self._cache = mongo.db[STATS_CACHE]

    def save(
        self,
        body: dict[str, Any],
        computed_ms: int,
        *,
        term: int | None,
        floor: int = 0,
        after: int | None = None,
    ) -> tuple[int, int]:
        """Store ``body`` and return its (term, seq), which is greater than the last one.

        ``term`` is the leader's; None (cron, CLI, a reader) keeps the stored term. ``floor`` is the
        lower bound for the next query for top accounts. ``after`` is the value of :meth:`last_seq`
        before the readings started. Raises :class:`Superseded` if a newer leader has written,
        :class:`StaleSnapshot` if any process has written since ``after``, and
        :class:`StoreUnavailable` if it cannot be stored.
        """
        update: Document = {
            "$set": {
                "computedAt": to_datetime(computed_ms),
                "body": body,
                # Also outside the body, because the next refresh reads only this part.
                "population": body.get("population", []),
                "floor": floor,
            },
            "$inc": {"seq": 1},
            "$max": {"term": term or 0},
        }
        fence: Document = {"_id": KEY}
        if term is not None:
            fence["term"] = {"$lte": term}
        if after is not None:
            fence["seq"] = {"$lte": after}
        for _ in range(TRIES):
            try:
                place = self._write(fence, update)
            except PoisonError:  # seq is not a number, so it cannot be incremented
                place = None
            if place is not None:
                return place
            if not self._restore_place(computed_ms) and term is not None:
                newest = self.last_term()
                if newest > term:
                    raise Superseded(f"Term {term} was superseded by term {newest}.")
            if after is not None and self.last_seq() > after:
                raise StaleSnapshot("A newer snapshot was stored during the refresh.")
        raise StoreUnavailable("The snapshot could not be stored: too many writers.")

    def continue_after(self, term: int, seq: int) -> None:
        """Let the next version be greater than ``term-seq``, which readers have: the stored one is
        older after a restore, and readers refuse what is older than their copy."""
        with translated():
            self._cache.update_one({"_id": KEY}, {"$max": {"term": term, "seq": seq}}, upsert=True)
        logger.warning("snapshot_version_restored")

    def _write(self, fence: Document, update: Document) -> tuple[int, int] | None:
        """The new term and seq; None if the fence rejected the write, or they cannot be read."""
        with translated():
            try:
                saved: Any = self._cache.find_one_and_update(
                    fence,
                    update,
                    projection={"term": 1, "seq": 1},
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                # The upsert found a document that the fence excludes, or that another process
                # inserted at the same moment.
                return None
        # If two processes insert at once, the embedded database returns nothing to one of them.
        return _place(saved or {})

    def _restore_place(self, computed_ms: int) -> bool:
        """Assign a new term and seq to the stored snapshot if they cannot be read.

        The last sequence number is unknown, so the seconds since 1970 are used, which are more than
        the snapshots so far. The term is 0 until the leader's next refresh.
        """
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"term": 1, "seq": 1})
            if found is None or _place(found) is not None:
                return False
            place = {
                "term": _number(found.get("term")) or 0,
                "seq": _number(found.get("seq")) or computed_ms // 1000,
            }
            self._cache.update_one({"_id": KEY}, {"$set": place})
        logger.warning("snapshot_version_restored")
        return True

    def load(self) -> StoredSnapshot | None:
        """The last snapshot; None if missing or unreadable. Raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}) or {}
        place, computed_ms = _place(found), typed.own_moment(found.get("computedAt"))
        body = typed.json_ready(found.get("body"))
        if place is None or computed_ms is None or not isinstance(body, dict):
            return None
        return StoredSnapshot(*place, computed_ms, body)

    def last_term(self) -> int:
        """The newest term that has written; 0 if none. Raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"term": 1}) or {}
        return _number(found.get("term")) or 0

    def last_seq(self) -> int:
        """The number of the stored snapshot; 0 if missing. Raises :class:`StoreUnavailable`.

        The first read of a refresh, so a database that does not answer ends a refresh early, which
        may otherwise take a minute.
        """
        with translated(), deadline(FIRST_READ_SECONDS):
            found = self._cache.find_one({"_id": KEY}, {"seq": 1}) or {}
        return _number(found.get("seq")) or 0

    def last_computed_ms(self) -> int | None:
        """When the stored snapshot was computed. Raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"computedAt": 1}) or {}
        return typed.own_moment(found.get("computedAt"))


def _place(found: Mapping[str, Any]) -> tuple[int, int] | None:
    term, seq = _number(found.get("term")), _number(found.get("seq"))
    return None if term is None or seq is None else (term, seq)


def _number(value: object) -> int | None:
    number = typed.integer(value)
    return number if number is not None and number in typed.PLACE else None
