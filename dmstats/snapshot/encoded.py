"""Encoded snapshots: the JSON is encoded once; age and source are prepended to each response."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from dmstats.core.clock import to_ms
from dmstats.db.dashboard.snapshot_store import StoredSnapshot
from dmstats.snapshot.body import LastAudit, check

WORKER, REDIS, STORE, COMPUTED = "worker", "redis", "store", "computed"
STALE_AFTER_INTERVALS = 1.5
STALE_SUFFIX = "-stale"
INSTALLATION = "installation"
"""Marks snapshots in Redis with their installation; responses do not have this field."""
VERSION = re.compile(r"(\d{1,15})-(\d{1,15})")

Order = tuple[int, int]
NOTHING_SEEN: Order = (0, 0)


class Malformed(ValueError):
    """The data is not a valid snapshot."""


@dataclass(frozen=True, slots=True)
class SnapshotResponse:
    """One response. ``etag`` is the opaque tag without quotes; it changes when the snapshot changes
    or becomes stale. ``order`` is the version as a comparable tuple."""

    version: str
    order: Order
    stale: bool
    source: str
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class CachedSnapshot:
    """One version of the snapshot; ``tail`` is its JSON without the opening brace.

    ``audit`` is when the last audit ended (ms since the epoch), and its drift.
    """

    version: str
    order: Order
    computed_ms: int
    tail: bytes
    audit: tuple[int, int] | None = None

    def serve(self, source: str, now_ms: int, stale_after_ms: float) -> SnapshotResponse:
        """The complete JSON as of ``now_ms``."""
        age_ms = self.age_ms(now_ms)
        stale = age_ms > stale_after_ms
        head = (
            f'{{"version":"{self.version}","ageSeconds":{age_ms / 1000},'
            f'"stale":{"true" if stale else "false"},"source":"{source}",'
        )
        etag = self.version + STALE_SUFFIX if stale else self.version
        return SnapshotResponse(
            self.version, self.order, stale, source, head.encode() + self.tail, etag
        )

    def age_ms(self, now_ms: int) -> int:
        """The age; absolute, since the clock may have been set back after the computation."""
        return abs(now_ms - self.computed_ms)


def order_of(version: object) -> Order:
    """``version`` ("term-seq") as a comparable tuple; raises :class:`Malformed`."""
    match = VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise Malformed("no version")
    return int(match[1]), int(match[2])


def newest_of(tags: Iterable[str]) -> Order:
    """The newest version among ``tags`` (our entity tags, without quotes); (0, 0) if none."""
    orders = [(0, 0)]
    for tag in tags:
        with suppress(Malformed):
            orders.append(order_of(tag.removesuffix(STALE_SUFFIX)))
    return max(orders)


def cached_snapshot(snapshot: object) -> CachedSnapshot:
    """Encode ``snapshot`` (body and version, plain JSON types); raises :class:`Malformed`."""
    if not isinstance(snapshot, Mapping):
        raise Malformed("no object")
    body: dict[str, Any] = {key: value for key, value in snapshot.items() if key != "version"}
    version = snapshot.get("version")
    order = order_of(version)
    try:
        checked = check(body)
        computed = to_ms(datetime.fromisoformat(checked.computedAt))
        audit = _audit_of(checked.audit)
        tail = msgspec.json.encode(body)[1:]
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Malformed("not the shape of a snapshot") from error
    return CachedSnapshot(str(version), order, computed, tail, audit)


def _audit_of(audit: LastAudit | None) -> tuple[int, int] | None:
    return None if audit is None else (to_ms(datetime.fromisoformat(audit.at)), audit.drift)


def cached_from_store(stored: StoredSnapshot) -> CachedSnapshot:
    """Encode a stored snapshot; raises :class:`Malformed`."""
    return cached_snapshot({"version": stored.version, **stored.body})


def cached_from_json(encoded: bytes | str, installation: str) -> CachedSnapshot:
    """Decode a snapshot from Redis' JSON; raises :class:`Malformed`."""
    try:
        return cached_from_redis(msgspec.json.decode(encoded), installation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("not JSON") from error


def cached_from_redis(snapshot: object, installation: str) -> CachedSnapshot:
    """Encode a snapshot (decoded JSON) from Redis; raises :class:`Malformed` unless it is complete
    and from ``installation``."""
    if not isinstance(snapshot, Mapping):
        raise Malformed("no object")
    if snapshot.get(INSTALLATION) != installation:
        raise Malformed("from another installation")
    return cached_snapshot({key: snapshot[key] for key in snapshot if key != INSTALLATION})
