"""Computes all accounts' states continuously, in short steps with a bounded share of the time.

A pass reads accounts, their stored states and their rhythms in parallel, ordered by id, and writes
only changes. Only the position is kept in memory between two steps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain, islice

from dmstats.core.clock import Clock, month_of
from dmstats.db.client import deadline
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_record import AccountState
from dmstats.db.states.state_store import BATCH, StateStore
from dmstats.db.states.summary import Summary
from dmstats.states.rules import state_of

TICK_SECONDS = 0.2
MAX_SHARE = 0.075
"""The largest share of time: the pause after each tick depends on its duration. About half of that
is the database's."""
PASS_SECONDS = 60.0
"""From the beginning of one pass to that of the next, or longer where a pass takes longer."""
STEP_SECONDS = 60.0
"""The time limit of a step: the embedded database reads a whole collection first."""


class StatePass:
    """One pass over all accounts at a time."""

    def __init__(
        self, store: StateStore, rhythms: Rhythms, clock: Clock, *, monthly_limit: int
    ) -> None:
        self._store = store
        self._rhythms = rhythms
        self._clock = clock
        self._monthly_limit = monthly_limit

    def steps(self) -> Iterator[None]:
        """Process all accounts; yields after each batch. May raise
        :class:`~dmstats.core.errors.DmstatsError`; the next pass then starts from the beginning."""
        refused, rhythms = self._store.refused(), RhythmWalk(self._rhythms)
        kept = self._store.kept()
        held = next(kept, None)
        summary = Summary(0, month_of(self._clock.now_ms()))
        last = ""
        for batch in self._store.accounts():
            now_ms = self._clock.now_ms()
            changed: list[AccountState] = []
            gone: list[str] = []
            for account in batch:
                name = account.instagram_id
                if name <= last:  # twice, where the platform has no unique index
                    continue
                last = name
                while held is not None and held.account < name:
                    gone.append(held.account)
                    held = next(kept, None)
                    if len(gone) >= BATCH:
                        self._store.write([], gone)
                        gone.clear()
                        yield
                before = None
                if held is not None and held.account == name:
                    before, held = held, next(kept, None)
                state = state_of(
                    account,
                    rhythms.of(name),
                    now_ms,
                    monthly_limit=self._monthly_limit,
                    refused=name in refused,
                    inactive_since_ms=before.inactive_since_ms if before else None,
                )
                summary.add(state)
                if before is None or before.digest != state.digest():
                    changed.append(state)
            self._store.write(changed, gone)
            yield
        left = chain([] if held is None else [held], kept)
        while gone := [each.account for each in islice(left, BATCH)]:
            self._store.write([], gone)
            yield
        summary.at_ms = self._clock.now_ms()
        self._store.finish(summary)


class RhythmWalk:
    """The rhythms of accounts asked for in ascending order; holds one chunk at a time."""

    def __init__(self, rhythms: Rhythms) -> None:
        self._rhythms = rhythms
        self._place: int | None = None
        self._chunk: dict[str, Rhythm] = {}
        self._chunks: list[tuple[str, str]] = []
        self._firsts: list[str] = []
        self._renew()

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


class BackgroundStates:
    """The leader calls :meth:`tick` every second."""

    def __init__(self, state_pass: StatePass, clock: Clock) -> None:
        self._pass = state_pass
        self._clock = clock
        self._due = float("-inf")
        self._began = 0.0
        self._steps: Iterator[None] | None = None

    def tick(self) -> bool:
        """Compute for about :data:`TICK_SECONDS` if due; whether a pass ended."""
        started = self._clock.monotonic()
        if started < self._due:
            return False
        # Set first, so that a failing pass is not retried at every tick.
        self._due = started + PASS_SECONDS
        ended = self._go_on(started)
        took = self._clock.monotonic() - started
        self._due = started + took / MAX_SHARE
        if ended:
            self._due = max(self._due, self._began + PASS_SECONDS)
        return ended

    def _go_on(self, started: float) -> bool:
        if self._steps is None:
            self._began = started
            self._steps = self._pass.steps()
        try:
            with deadline(STEP_SECONDS):
                for _ in self._steps:
                    if self._clock.monotonic() - started >= TICK_SECONDS:
                        return False
        except BaseException:
            self._steps = None
            raise
        self._steps = None
        return True
