"""Passes over all accounts, which compute their states.

A full pass reads accounts, their stored states and their rhythms in parallel, ordered by id. The
passes after it read the accounts alone, compare digests of their documents, and compute only what
has changed or is due. Only changes are written. In memory are the position between two steps, the
digests, and the accounts that are due soon.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Generator, Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice

from dmstats.core.clock import HOUR_MS, Clock, month_of
from dmstats.db.documents import Account
from dmstats.db.states.rhythms import Rhythm, Rhythms
from dmstats.db.states.state_record import AccountState, HourCount, unpacked
from dmstats.db.states.state_store import BATCH, Changed, KeptState, StateStore, digest_of
from dmstats.db.states.summary import Summary
from dmstats.states.hour import add_hours, most_sent, seen
from dmstats.states.known import KnownDocuments
from dmstats.states.rules import (
    NEAR_SHARE,
    NEVER,
    SHORTEST_PAUSE_MS,
    state_of,
    surge_at,
    surge_rhythm,
    surges_until_ms,
    until_ms,
)
from dmstats.states.walks import KeptWalk, RhythmWalk

STEP = 25
"""Accounts that are computed between two pauses: other greenlets wait for about a millisecond."""
AT_ONCE = 100
"""The number of writes sent together, or more if more accounts of a batch have changed."""
FULL_MS = 6 * HOUR_MS
"""The longest time between two full passes. Each finished audit causes one, too."""
LARGE = 1_000
"""Bytes. If documents are larger on average, only the fields that are needed are read."""
IDLE_SHARE = 10
"""The same if of every ten documents one changes in a pass without a change of the states."""
MAX_DUE = 250_000
"""With more accounts that are due before the next full pass, that is the next pass."""
MAX_VANISHED = 10_000
"""Documents; if more are gone, the next pass is a full one."""


_Found = dict[str, tuple[Account, bytes]]
"""Accounts by id, with the digests of their documents."""


@dataclass
class _Results:
    """What the passes since the last full one have found, which began at ``full_ms`` and used what
    is in ``basis``: the month, and the chunks of an audit.

    ``due`` has the accounts whose states may change before the next full pass although their
    documents do not, each with the time. ``by_hour`` are the DMs by hour, as far as they are known.
    The number of a ``known`` document is the account's :func:`~dmstats.states.rules.surge_at`.
    """

    full_ms: int
    basis: tuple[str, list[tuple[str, str]]]
    summary: Summary
    known: KnownDocuments = field(default_factory=KnownDocuments)
    due: dict[str, int] = field(default_factory=dict)
    by_hour: Counter[int] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    rhythm_hours: tuple[int, int] | None = None
    """Of the earliest and the latest rhythm, in hours since the epoch."""


@dataclass
class _Run:
    """A pass. ``gap_ms`` is the time since the previous one began. It is ``complete`` if the next
    one can continue its ``results``. ``read`` and ``size`` are the number of documents and their
    bytes; ``idle`` is how many have changed in fields on which no state depends."""

    results: _Results
    rhythms: RhythmWalk
    refused: set[str]
    gap_ms: int | None
    is_full: bool
    complete: bool = True
    read: int = 0
    size: int = 0
    idle: int = 0
    changed: list[Changed] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    @property
    def is_wasteful(self) -> bool:
        """Whether many documents are computed in vain."""
        return self.idle >= STEP and self.idle * IDLE_SHARE >= self.read

    def count(self, documents: Collection[bytes]) -> None:
        """Count documents that were read."""
        self.read += len(documents)
        self.size += sum(map(len, documents))


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
        self._results: _Results | None = None
        """None if the next pass has to be a full one."""
        self._accounts = 0
        """Their number, by the last pass; 0 if unknown."""
        self._run: _Run | None = None
        self.summary = Summary(0, "")
        """Results of the last finished pass."""

    @property
    def done(self) -> float | None:
        """Which part of the accounts the present pass has read; None if unknown."""
        return self._run.read / self._accounts if self._run and self._accounts else None

    def steps(self) -> Generator[None, None, None]:
        """Process all accounts; yields after each batch. May raise
        :class:`~dmstats.core.errors.DmstatsError`; the next pass then starts from the beginning."""
        rhythms, began_ms = RhythmWalk(self._rhythms), self._clock.now_ms()
        basis = (month_of(began_ms), rhythms.published)
        # Forgotten first: a pass that fails has changed some of them.
        results, self._results = self._results, None
        is_full = results is None or results.basis != basis or began_ms >= results.full_ms + FULL_MS
        if results is None or is_full:
            results = _Results(began_ms, basis, Summary(0, basis[0]))
        else:
            results.summary = deepcopy(results.summary)
        gap_ms = None if self._began_ms is None else began_ms - self._began_ms
        run = self._run = _Run(results, rhythms, self._store.refused(), gap_ms, is_full)
        self._accounts = self._accounts or self._store.counted()
        yield from self._all(run) if is_full else self._changes(run)
        if run.is_wasteful and not self._store.is_narrow:
            self._store.narrow()
            yield from self.steps()
            return
        results.refused = run.refused
        results.summary.at_ms = self._clock.now_ms()
        self._store.finish(results.summary)
        self.summary = results.summary
        self._accounts = run.read
        self._timely = self._timely_shares(results.by_hour)
        self._began_ms = began_ms
        if run.size > LARGE * run.read:
            self._store.narrow()
        elif run.complete and len(results.due) <= MAX_DUE:
            self._results = results

    def _all(self, run: _Run) -> Generator[None, None, None]:
        """Compute every account's states."""
        kept, last, computed = KeptWalk(self._store.kept()), "", 0
        for batch in self._store.accounts():
            run.count(batch)
            now_ms = self._clock.now_ms()
            for document in batch:
                account = self._store.account(document)
                if account is None:
                    continue
                seen, name = digest_of(document), account.instagram_id
                # The same id may occur twice if the platform has no unique index.
                if name <= last:
                    run.results.known.add(seen, NEVER)
                    continue
                last = name
                yield from self._drop(kept.before(name), run)
                self._compute(account, seen, kept.of(name), run, now_ms)
                computed += 1
                if computed % STEP == 0:
                    yield
            if len(run.changed) + len(run.gone) >= AT_ONCE:
                self._write(run)
            yield
        yield from self._drop(kept.before(None), run)
        self._write(run)

    def _drop(self, names: Iterable[str], run: _Run) -> Generator[None, None, None]:
        """Delete the states of these accounts."""
        for name in names:
            run.gone.append(name)
            if len(run.gone) >= BATCH:
                self._write(run)
                yield

    def _changes(self, run: _Run) -> Generator[None, None, None]:
        """Compute the states of accounts that have changed or are due, and of new ones."""
        known, store = run.results.known, self._store
        known.begin()
        found: _Found = {}
        for batch in store.documents():
            run.count(batch)
            places = known.unknown(map(digest_of, batch))
            self._decode((batch[place] for place in places), found)
            yield
            if len(found) >= AT_ONCE:
                yield from self._settle(found.keys(), found, run)
                found = {}
                if run.is_wasteful:
                    return
        yield from self._settle(found.keys(), found, run)
        names = iter(sorted(self._due(run)))
        while some := [*islice(names, AT_ONCE)]:
            found = {}
            self._decode(store.documents_of(some), found)
            yield from self._settle(some, found, run, anew=True)

    def _decode(self, documents: Iterable[bytes], found: _Found) -> None:
        """Add these to ``found``. Of two documents of an account, the first counts."""
        for document in documents:
            account = self._store.account(document)
            if account is not None:
                found.setdefault(account.instagram_id, (account, digest_of(document)))

    def _due(self, run: _Run) -> set[str]:
        """The accounts that this pass has to compute although it has met no new documents of them:
        also those of which a document has vanished."""
        results, now_ms = run.results, self._clock.now_ms()
        due = {name for name, at_ms in results.due.items() if at_ms <= now_ms}
        due |= run.refused - results.refused
        vanished = results.known.forget_others()
        if len(vanished) > MAX_VANISHED:
            run.complete = False
        elif vanished:
            due |= self._store.seen_as(vanished)
        return due

    def _settle(
        self,
        names: Collection[str],
        found: _Found,
        run: _Run,
        *,
        anew: bool = False,
    ) -> Generator[None, None, None]:
        """Compute the states of these accounts, of which the documents ``found`` exist. ``anew``:
        whether or not their documents have changed."""
        known, ordered = run.results.known, iter(sorted(names))
        while some := [*islice(ordered, AT_ONCE)]:
            kept = self._store.kept_of(some)
            for n, name in enumerate(some):
                if n % STEP == 0:
                    yield
                before = kept.get(name)
                if name in found:
                    account, seen = found[name]
                    if not anew and before is not None and known.is_met(before.seen):
                        # Another document of this account, which has not changed, counts.
                        known.add(seen, NEVER)
                        continue
                    self._compute(account, seen, before, run, self._clock.now_ms())
                    continue
                run.results.due.pop(name, None)
                if before is not None:
                    run.gone.append(name)
                    self._leave_out(before, run)
            self._write(run)

    def _compute(
        self, account: Account, seen: bytes, before: KeptState | None, run: _Run, now_ms: int
    ) -> None:
        results, name = run.results, account.instagram_id
        rhythm, at = self._rhythm_of(account, before, run, now_ms)
        state = self._state_of(account, rhythm, before, run, now_ms)
        if before is not None and not run.is_full:
            self._leave_out(before, run)
            results.known.discard(before.seen)
        results.known.add(seen, at)
        results.summary.add(state)
        add_hours(results.by_hour, state.hour)
        results.due.pop(name, None)
        due_ms = 0
        if not self._is_busy(state, now_ms):
            due_ms = until_ms(account, rhythm, state.states, now_ms)
        if due_ms < results.full_ms + FULL_MS:
            results.due[name] = due_ms
        is_same = before is not None and before.packed == state.packed()
        if not is_same or (before and before.seen != seen):
            run.idle += is_same and not run.is_full
            run.changed.append(Changed(state, seen, is_new=before is None))

    def _leave_out(self, before: KeptState, run: _Run) -> None:
        """Take an account's earlier states out of the results."""
        state = unpacked(before.packed)
        if state is None:  # something else has written it
            run.complete = False
        else:
            run.results.summary.add(state, -1)
            add_hours(run.results.by_hour, state.hour, -1)

    def _write(self, run: _Run) -> None:
        if not self._store.write(run.changed, run.gone):
            run.complete = False
        run.changed, run.gone = [], []

    def _rhythm_of(
        self, account: Account, before: KeptState | None, run: _Run, now_ms: int
    ) -> tuple[Rhythm | None, int]:
        """The account's rhythm, and its :func:`surge_at`. After the full pass only that is known,
        and it is enough if the account has sent lately."""
        results, sent_ms = run.results, account.last_sent_ms
        at = None if run.is_full or before is None else results.known.number_of(before.seen)
        if (
            at is not None
            and results.rhythm_hours is not None
            and (sent_ms is None or sent_ms + SHORTEST_PAUSE_MS > results.full_ms + 2 * FULL_MS)
        ):
            first, last = map(surges_until_ms, results.rhythm_hours)
            if now_ms <= first:
                return surge_rhythm(at, now_ms // HOUR_MS), at
            if now_ms > last:
                return None, at
        rhythm = run.rhythms.of(account.instagram_id)
        if rhythm is not None:
            first, last = results.rhythm_hours or (rhythm.hour, rhythm.hour)
            results.rhythm_hours = (min(first, rhythm.hour), max(last, rhythm.hour))
        return rhythm, surge_at(rhythm)

    def _is_busy(self, state: AccountState, now_ms: int) -> bool:
        """Whether its DMs of an hour may be near the limit, which depends on those of others."""
        every = dict.fromkeys((now_ms // HOUR_MS, now_ms // HOUR_MS - 1), 1.0)
        limit = self._hourly_limit or math.inf
        return most_sent(state.hour, now_ms, every) >= NEAR_SHARE * limit

    def _state_of(
        self,
        account: Account,
        rhythm: Rhythm | None,
        before: KeptState | None,
        run: _Run,
        now_ms: int,
    ) -> AccountState:
        kept = unpacked(before.packed) if before else None
        hour = None
        if self._hourly_limit:
            known = kept.hour if kept else None
            hour = seen(known, account.dm_used, now_ms, run.gap_ms, account.last_sent_ms)
        return state_of(
            account,
            rhythm,
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

    def _timely_shares(self, by_hour: Counter[int]) -> dict[int, float]:
        """By hour, the share of the DMs counted in it that were also sent in it."""
        hour = self._clock.now_ms() // HOUR_MS
        for each in [each for each in by_hour if each < hour - 1]:
            del by_hour[each]
        sent = self._store.sent_in(by_hour)
        return {hour: min(1.0, sent.get(hour, 0) / n) for hour, n in by_hour.items() if n > 0}
