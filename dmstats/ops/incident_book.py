"""The incidents that are not finished, kept in Redis and in MongoDB at the same time.

One of the two is enough: most incidents are about MongoDB, and what is only in Redis may be lost.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import redis
from redis.exceptions import RedisError

from dmstats.core.errors import DmstatsError
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_repair import drop_field, dropping_wrong_type
from dmstats.db.incidents import IncidentRecord, IncidentStore, merged

logger = logging.getLogger(__name__)

KEY = "dmstats:incidents"
"""A hash of records in JSON, by id."""


class IncidentBook:
    """Reads and writes both copies. Methods may raise ``RedisError``; an outage of MongoDB is
    logged only, and what it missed is written later."""

    def __init__(self, store: IncidentStore, client: redis.Redis, keys: Keyspace) -> None:
        self._store = store
        self._redis = client
        self._keys = keys

    def pending(self) -> list[IncidentRecord]:
        """The incidents that are not finished, oldest first; both copies are alike afterwards."""
        cached = self.cached()
        try:
            stored = {record.id: record for record in self._store.pending()}
        except DmstatsError as error:
            logger.info("incidents_not_stored", extra={"reason": error.reason})
            return [cached[key] for key in sorted(cached)]
        records = {}
        for key in sorted(cached.keys() | stored.keys()):
            copies = [copies[key] for copies in (cached, stored) if key in copies]
            record = records[key] = merged(copies[0], copies[-1])
            if record.finished or any(copy != record for copy in copies) or len(copies) == 1:
                self.save(record)
        return [record for record in records.values() if not record.finished]

    def cached(self) -> dict[str, IncidentRecord]:
        """What Redis has, by id."""
        key = self._keys.key(KEY)
        with dropping_wrong_type(self._redis, key):
            kept: Any = self._redis.hgetall(key)
        found = {}
        for field, value in kept.items():
            record = _decoded(value)
            if record is None or record.id.encode() != field:
                drop_field(self._redis, key, field)
            else:
                found[record.id] = record
        return found

    def latest(self, incident_id: str) -> IncidentRecord | None:
        """The incident as Redis has it now; None if it is finished."""
        return _decoded(self._redis.hget(self._keys.key(KEY), incident_id))  # type: ignore[arg-type]

    def stored(self, incident_id: str) -> IncidentRecord | None:
        """The incident as MongoDB has it, finished or not. May raise ``DmstatsError``."""
        return self._store.one(incident_id)

    def save(self, record: IncidentRecord) -> None:
        """Write both copies; from Redis it is removed once it is finished and stored."""
        key, failure = self._keys.key(KEY), None
        try:
            self._redis.hset(key, record.id, msgspec.json.encode(record))
        except RedisError as error:
            failure = error
        try:
            self._store.save(record)
        except DmstatsError as error:
            logger.info("incidents_not_stored", extra={"reason": error.reason})
        else:
            if record.finished and failure is None:
                self._redis.hdel(key, record.id)
        if failure is not None:
            raise failure


def _decoded(kept: bytes | None) -> IncidentRecord | None:
    try:
        return msgspec.json.decode(kept, type=IncidentRecord) if kept else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
