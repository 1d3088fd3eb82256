"""The events of a torture run: made once, sent in changing POSTs until each is acknowledged."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dmstats.core.clock import DAY_MS, HOUR_MS
from dmstats.ingest.events import read_events
from dmstats.simulator.bodies import Traffic

MAX_PER_RETRY = 60
FRESH_IN_A_RETRY = 0.3
"""The share of retries that carry new events, too."""
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
STEPPED_SHARE = 0.08
"""The share of POSTs whose sender's clock is stepped: mostly to where an event's time is no longer
accepted, so that two deliveries of one event are classified differently."""


class Event(msgspec.Struct, eq=False):
    """One event: as it is sent, and the digest that its one ledger row must carry."""

    account: str
    time_ms: int
    item: dict[str, Any]
    digest: bytes
    due: float = 0.0
    failures: int = 0
    refused_at: float = 0.0
    refused_last: float = 0.0


class Post(msgspec.Struct, eq=False):
    """One POST's raw body and the events in it."""

    body: bytes
    events: Sequence[Event]


class Mixer:
    """Composes POSTs with ``rate`` new DMs a second; the sender reports how each ended.

    Events that were not acknowledged are sent again in other POSTs: split, merged with other
    failed events, merged with new ones. ``acknowledged`` holds for each digest whether it was, and
    ``refused`` the monotonic times of the first and the last refusal of each event that had any.
    """

    def __init__(
        self, *, seed: int, rate: float, batch: tuple[int, int], duplicates: float, max_age_ms: int
    ) -> None:
        self._traffic = Traffic(seed=seed, accounts=200, duplicates=duplicates, batch=batch)
        self._random = random.Random(seed + 1)
        self._rate = rate
        self._max_age_ms = max_age_ms
        self._lock = threading.Lock()
        self._again: list[Event] = []
        self._out = 0
        self._started: float | None = None
        self.acknowledged: dict[bytes, bool] = {}
        self.refused: list[tuple[float, float]] = []
        self.posts = 0
        self.retried = 0
        self.stepped = 0

    @property
    def dms(self) -> int:
        """How many DMs were made so far, each counted once."""
        return self._traffic.dms

    @property
    def accounts(self) -> Sequence[str]:
        """The Instagram ids of the accounts that the events belong to."""
        return self._traffic.accounts

    @property
    def repeated(self) -> int:
        """How many events were sent again on purpose, in addition to retries."""
        return self._traffic.repeated

    def unsettled(self) -> bool:
        """Whether an event is being sent or waits to be sent again."""
        with self._lock:
            return bool(self._out or self._again)

    def next(self, *, fresh: bool) -> Post | None:
        """A POST that is due now, if there is one; with new events only if ``fresh``."""
        with self._lock:
            now = time.monotonic()
            self._started = self._started or now
            fresh = fresh and self._traffic.dms < self._rate * (now - self._started)
            post = self._retry(now, fresh=fresh) if self._again else None
            post = post or (self._fresh() if fresh else None)
            if post is not None:
                self._out += 1
                self.posts += 1
            return post

    def done(self, post: Post, *, acknowledged: bool) -> None:
        """Report how ``post`` ended."""
        with self._lock:
            self._out -= 1
            if acknowledged:
                for event in post.events:
                    self.acknowledged[event.digest] = True
                    if event.failures:
                        self.refused.append((event.refused_at, event.refused_last))
                return
            now = time.monotonic()
            for event in post.events:
                event.failures += 1
                event.refused_at = event.refused_at or now
                event.refused_last = now
                pause = FIRST_PAUSE_SECONDS * 2.0 ** min(event.failures, 10)
                event.due = now + self._random.uniform(0.5, 1.0) * min(pause, MAX_PAUSE_SECONDS)
            self._again.extend(post.events)

    def _fresh(self) -> Post:
        body = self._traffic.delivery(self._sender_now_ms()).body
        events = list(self._events(body))
        for event in events:
            self.acknowledged.setdefault(event.digest, False)
        return Post(body, events)

    def _retry(self, now: float, *, fresh: bool) -> Post | None:
        due = [event for event in self._again if event.due <= now]
        if not due:
            return None
        self._random.shuffle(due)
        chosen = due[: self._random.randint(1, MAX_PER_RETRY)]
        taken = set(map(id, chosen))
        self._again = [event for event in self._again if id(event) not in taken]
        self.retried += len(chosen)
        if fresh and self._random.random() < FRESH_IN_A_RETRY:
            chosen += self._fresh().events
            self._random.shuffle(chosen)
        return Post(_body(chosen), chosen)

    def _sender_now_ms(self) -> int:
        now_ms = time.time_ns() // 1_000_000
        if self._random.random() >= STEPPED_SHARE:
            return now_ms
        self.stepped += 1
        jitter_ms = self._random.randint(-4_000, 4_000)
        edges = (HOUR_MS, HOUR_MS, -self._max_age_ms, -self._max_age_ms, 2 * DAY_MS, -400 * DAY_MS)
        return now_ms + self._random.choice(edges) + jitter_ms

    def _events(self, body: bytes) -> Iterator[Event]:
        for entry in json.loads(body)["entry"]:
            for item in entry.get("messaging", ()):
                event = Event(entry["id"], entry["time"], item, b"")
                rows = read_events(_body([event]), arrived_ms=0, max_age_ms=1).rows
                if rows:  # else it is one of those that are not to be counted
                    event.digest = rows[0].row_id[4:]
                    yield event


def _body(events: Sequence[Event]) -> bytes:
    by_entry: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for event in events:
        by_entry.setdefault((event.account, event.time_ms), []).append(event.item)
    entries = [
        {"id": account, "time": time_ms, "messaging": items}
        for (account, time_ms), items in by_entry.items()
    ]
    return json.dumps({"object": "instagram", "entry": entries}).encode("ascii")
