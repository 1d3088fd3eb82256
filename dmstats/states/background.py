"""Computes all accounts' states continuously, in short steps with a bounded share of the time.

A pass reads accounts, their stored states and their rhythms in parallel, ordered by id. It decodes
only accounts that have changed, and writes only changes. Only the position is kept in memory
between two steps.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from dmstats.core.bounded_work import BoundedWork
from dmstats.core.clock import HOUR_MS, Clock, MonotonicClock, month_of
from dmstats.db.client import deadline
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_record import AccountState, HourCount, unpacked
from dmstats.db.states.state_store import BATCH, Changed, KeptState, StateStore, digest_of
from dmstats.db.states.summary import Summary
from dmstats.states.hour import add_hours, most_sent, seen
from dmstats.states.rules import NEAR_SHARE, state_of

TICK_SECONDS = 0.9
MAX_SHARE = 0.13
"""The largest share of time: the pause after each tick depends on its duration. About half of that
is the database's."""
USUAL_SHARE = 0.05
"""The share of time over passes and the rests between them, unless states would be too old."""
REST_SECONDS = 60.0
"""The shortest rest between two passes."""
CYCLE_SECONDS = 540.0
"""The time between the beginnings of two passes, if possible."""
STEP = 100
"""Unchanged accounts between two pauses: other greenlets wait for about a millisecond."""
DECODED = 4
"""How many times the cost of an unchanged account a decoded one has."""
AT_ONCE = 100
"""The number of writes sent together, or more if more accounts of a batch have changed."""
STEP_SECONDS = 60.0
"""The time limit of a step: the embedded database reads a whole collection first."""


@dataclass
class _Run:
    """The position of a pass: ``held`` is the next of the stored states, ``last`` the previous
    account. ``gap_ms`` is the time since the previous pass began."""

    refused: set[str]
    rhythms: RhythmWalk
    kept: Iterator[KeptState]
    summary: Summary
    gap_ms: int | None
    may_skip: bool = False
    held: KeptState | None = None
    last: str = ""
    by_hour: Counter[int] = field(default_factory=Counter)
    changed: list[Changed] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class StatePass:
    """One pass over all accounts at a time."""

    def __init__(
        self,
        store: StateStore,
        rhythms: Rhythms,
        clock: Clock,
        *,
        monthly_limit: int = 0,
        hourly_limit: int = 0,
    ) -> None:
        self._store = store
        self._rhythms = rhythms
        self._clock = clock
        self._monthly_limit = monthly_limit
        self._hourly_limit = hourly_limit
        self._began_ms: int | None = None
        self._timely: dict[int, float] = {}
        self._basis: tuple[str, list[tuple[str, str]]] | None = None
        """The month and the audit of the last pass, if that was complete."""
        self.summary = Summary(0, "")
        """Results of the last finished pass."""

    def steps(self) -> Generator[None, None, None]:
        """Process all accounts; yields after each batch. May raise
        :class:`~dmstats.core.errors.DmstatsError`; the next pass then starts from the beginning."""
        rhythms, began_ms = RhythmWalk(self._rhythms), self._clock.now_ms()
        summary = Summary(0, month_of(began_ms))
        gap_ms = None if self._began_ms is None else began_ms - self._began_ms
        run = _Run(self._store.refused(), rhythms, self._store.kept(), summary, gap_ms)
        basis = (run.summary.month, rhythms.published)
        run.may_skip, self._basis = self._basis == basis, None
        run.held = next(run.kept, None)
        cost = 0
        for batch in self._store.accounts():
            now_ms = self._clock.now_ms()
            for document in batch:
                seen, held = digest_of(document), run.held
                if held is not None and held.seen == seen and self._holds(held, run, now_ms):
                    run.last, run.held = held.account, next(run.kept, None)
                    cost += 1
                else:
                    cost += DECODED
                    yield from self._look_at(document, seen, run, now_ms)
                if cost >= STEP:
                    cost = 0
                    yield
            if len(run.changed) + len(run.gone) >= AT_ONCE:
                self._write(run)
            yield
        self._write(run)
        left = chain([] if run.held is None else [run.held], run.kept)
        while gone := [each.account for each in islice(left, BATCH)]:
            self._store.write([], gone)
            yield
        run.summary.at_ms = self._clock.now_ms()
        self._store.finish(run.summary)
        self.summary = run.summary
        self._timely = self._timely_shares(run.by_hour)
        self._began_ms, self._basis = began_ms, basis

    def _look_at(
        self, document: bytes, seen: bytes, run: _Run, now_ms: int
    ) -> Generator[None, None, None]:
        account = self._store.account(document)
        # The same id may occur twice if the platform has no unique index.
        if account is None or (name := account.instagram_id) <= run.last:
            return
        run.last = name
        while run.held is not None and run.held.account < name:
            run.gone.append(run.held.account)
            run.held = next(run.kept, None)
            if len(run.gone) >= BATCH:
                self._write(run)
                yield
        before = None
        if run.held is not None and run.held.account == name:
            before, run.held = run.held, next(run.kept, None)
        state = self._state_of(account, before, run, now_ms)
        run.summary.add(state)
        if before is None or before.seen != seen or before.packed != state.packed():
            run.changed.append(Changed(state, seen, is_new=before is None))

    def _write(self, run: _Run) -> None:
        self._store.write(run.changed, run.gone)
        run.changed, run.gone = [], []

    def _holds(self, held: KeptState, run: _Run, now_ms: int) -> bool:
        """Whether the states of an account with an unchanged document are still valid. If so, they
        are counted."""
        if not run.may_skip or held.account in run.refused:
            return False
        state = unpacked(held.packed)
        if state is None or now_ms >= state.until_ms:
            return False
        count = state.hour
        if count is not None and count.hour >= now_ms // HOUR_MS - 1:
            if self._hour_share(count, now_ms) >= NEAR_SHARE:
                return False
            add_hours(run.by_hour, count, now_ms)
        run.summary.add(state)
        return True

    def _state_of(
        self, account: Account, before: KeptState | None, run: _Run, now_ms: int
    ) -> AccountState:
        kept = unpacked(before.packed) if before else None
        hour = None
        if self._hourly_limit:
            known = kept.hour if kept else None
            hour = seen(known, account.dm_used, now_ms, run.gap_ms, account.last_sent_ms)
            add_hours(run.by_hour, hour, now_ms)
        return state_of(
            account,
            run.rhythms.of(account.instagram_id),
            now_ms,
            monthly_limit=self._monthly_limit,
            refused=account.instagram_id in run.refused,
            inactive_since_ms=kept.inactive_since_ms if kept else None,
            hour=hour,
            hour_share=self._hour_share(hour, now_ms),
        )

    def _hour_share(self, hour: HourCount | None, now_ms: int) -> float:
        if not self._hourly_limit:
            return 0.0
        return most_sent(hour, now_ms, self._timely) / self._hourly_limit

    def _timely_shares(self, counted: Counter[int]) -> dict[int, float]:
        """By hour, the share of the DMs ``counted`` in it that were also sent in it."""
        sent = self._store.sent_in(counted)
        return {hour: min(1.0, sent.get(hour, 0) / n) for hour, n in counted.items() if n > 0}


class RhythmWalk:
    """The rhythms of accounts asked for in ascending order; holds one chunk at a time."""

    def __init__(self, rhythms: Rhythms) -> None:
        self._rhythms = rhythms
        self._place: int | None = None
        self._chunk: dict[str, Rhythm] = {}
        self._chunks: list[tuple[str, str]] = []
        self._firsts: list[str] = []
        self._renew()

    @property
    def published(self) -> list[tuple[str, str]]:
        """The chunks of the audit that stored them."""
        return self._chunks

    def of(self, account: str) -> Rhythm | None:
        """The account's rhythm, None if it has none."""
        place = bisect_right(self._firsts, account) - 1
        if place != self._place:
            self._load(place, account)
        return self._chunk.get(account)

    def _load(self, place: int, account: str) -> None:
        found = self._rhythms.of_chunk(self._chunks[place][1]) if place >= 0 else {}
        if found is None and self._renew():  # a newer audit was published
            place = bisect_right(self._firsts, account) - 1
            found = self._rhythms.of_chunk(self._chunks[place][1]) if place >= 0 else {}
        self._chunk, self._place = found or {}, place

    def _renew(self) -> bool:
        before, self._chunks = self._chunks, self._rhythms.published()
        self._firsts = [first for first, _ in self._chunks]
        return self._chunks != before


def rest_after(worked: float) -> float:
    """The seconds to rest after a pass that worked for this many seconds."""
    return max(REST_SECONDS, min(worked / USUAL_SHARE, CYCLE_SECONDS) - worked / MAX_SHARE)


class BackgroundStates:
    """The leader calls :meth:`tick` every second. ``report`` receives the number of accounts by
    state, and the time of the pass (ms)."""

    def __init__(
        self,
        state_pass: StatePass,
        clock: MonotonicClock,
        report: Callable[[Mapping[str, int], int], None] = lambda *_: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._pass = state_pass
        self._report = report
        self._work = BoundedWork(
            state_pass.steps,
            clock,
            tick_seconds=TICK_SECONDS,
            max_share=MAX_SHARE,
            rest=rest_after,
            sleep=sleep,
        )

    def tick(self) -> bool:
        """Compute for about :data:`TICK_SECONDS` if due; whether a pass ended."""
        with deadline(STEP_SECONDS):
            ended = self._work.tick()
        if ended:
            found = self._pass.summary
            self._report(found.counts(), found.at_ms)
        return ended
