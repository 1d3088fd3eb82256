"""The stored snapshot: the fence against former leaders, and what is left when Redis is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from dmstats.core.clock import to_datetime, to_ms
from dmstats.core.errors import Outdated, StoreUnavailable, Superseded
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import STATS_CACHE

KEY = "snapshot"
TRIES = 5


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot's ``body`` (JSON-ready, without its version) and its place in the order."""

    term: int
    seq: int
    computed_ms: int
    body: dict[str, Any]

    @property
    def version(self) -> str:
        """``term-seq``, as clients see it."""
        return f"{self.term}-{self.seq}"


class SnapshotStore:
    """Keeps the last snapshot in ``stats_cache`` and allots the versions; all on the primary."""

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
        """Store ``body`` and return the (term, seq) that it got, each greater than the last.

        ``term`` is the leader's; None (cron, CLI, a reader) goes under the stored one. ``floor``
        is what the next reading of the top accounts may start from. ``after`` is what
        :meth:`last_seq` said before the readings began. Raises :class:`Superseded` if a newer
        leader has written, :class:`Outdated` if anybody has since then,
        :class:`StoreUnavailable` if it cannot be stored.
        """
        update: Document = {
            "$set": {
                "computedAt": to_datetime(computed_ms),
                "body": body,
                # Apart from the body: the next reading wants this of it, and nothing else.
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
            with translated():
                try:
                    saved: Any = self._cache.find_one_and_update(
                        fence,
                        update,
                        projection={"term": 1, "seq": 1},
                        upsert=True,
                        return_document=ReturnDocument.AFTER,
                    )
                    # The embedded database returns nothing to one of two that insert at once.
                    if saved is not None:
                        return int(saved["term"]), int(saved["seq"])
                    continue
                except DuplicateKeyError:
                    # The upsert met a document that the fence had excluded, or that somebody
                    # else inserted in this very moment.
                    pass
            if term is not None and self.last_term() > term:
                raise Superseded(f"Term {term} is over.")
            if after is not None and self.last_seq() > after:
                raise Outdated("A newer snapshot was stored meanwhile.")
        raise StoreUnavailable("The snapshot could not be stored: too many writers.")

    def load(self) -> StoredSnapshot | None:
        """The last snapshot; raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY})
        if found is None:
            return None
        return StoredSnapshot(
            int(found["term"]), int(found["seq"]), to_ms(found["computedAt"]), found["body"]
        )

    def last_term(self) -> int:
        """The newest term that has written, 0 if none has; raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"term": 1})
        return int(found["term"]) if found else 0

    def last_seq(self) -> int:
        """The number of the stored snapshot, 0 without one; raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"seq": 1})
        return int(found["seq"]) if found else 0

    def last_computed_ms(self) -> int | None:
        """When the stored snapshot was computed; raises :class:`StoreUnavailable`."""
        with translated():
            found = self._cache.find_one({"_id": KEY}, {"computedAt": 1})
        return to_ms(found["computedAt"]) if found else None
