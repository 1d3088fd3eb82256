"""Group commit against a store in memory that fails on demand."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import gevent
import pytest

from dmstats.commit import group_commit as committing
from dmstats.commit import limits
from dmstats.commit.batch import CommitOutcome
from dmstats.commit.batch_writer import PREFETCH_BATCHES, BatchWriter
from dmstats.commit.group_commit import Committer
from dmstats.core.clock import SystemClock
from dmstats.core.errors import (
    AccountRefused,
    Conflict,
    DmstatsError,
    PoisonError,
    Repeated,
    StoreUnavailable,
    Unavailable,
)
from dmstats.core.records import Deltas, LedgerRow


class MemoryStore:
    """Counts in memory, all or nothing; ``failures`` are raised one per write, first to last."""

    def __init__(self) -> None:
        self.transactional = True
        self.ids: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.totals: Counter[str] = Counter()
        self.batches: list[int] = []
        self.failures: list[DmstatsError | None] = []
        self.poison: set[bytes] = set()
        self.unwritable: set[str] = set()
        self.deferred: list[set[str]] = []
        self.pause = 0.0
        self.slow = False
        self.before_write: Callable[[], None] = lambda: None
        self.unsettled = 0
        self.looked_up: list[bool] = []

    def find_existing(
        self, rows: Sequence[LedgerRow], *, seconds: float, primary_ids: bool
    ) -> set[bytes]:
        assert seconds > 0
        self.looked_up.append(primary_ids)
        there = self.ids | self.refused
        return {
            row.row_id
            for row in rows
            if (primary_ids and row.row_id in there)
            or (row.alternate_id and row.alternate_id[1] in there)
        }

    def write(self, rows: Sequence[LedgerRow], deltas: Deltas, *, seconds: float) -> None:
        if self.slow and seconds < self.pause:
            gevent.sleep(seconds)
            raise StoreUnavailable("out of time")
        gevent.sleep(self.pause)
        self.before_write()
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        ids = {row.row_id for row in rows}
        assert len(ids) == len(rows)
        if ids & self.poison:
            raise PoisonError("bad")
        if refused := sorted((deltas.accounts.keys() & self.unwritable) - deltas.deferred.keys()):
            raise AccountRefused(refused[0], "unique index on userId")
        if ids & self.ids:
            raise Repeated("duplicate key")
        self.ids |= ids
        self.totals.update(deltas.totals)
        self.batches.append(len(rows))
        self.deferred.append(set(deltas.deferred))

    def reject(self, row: LedgerRow, *, seconds: float) -> None:
        self.refused.add(row.row_id)
        self.totals["rejected"] += 1

    def abort_orphaned(self, *, seconds: float) -> bool:
        self.unsettled = max(0, self.unsettled - 1)
        return not self.unsettled

    def write_unordered(
        self,
        rows: Sequence[LedgerRow],
        merge: Callable[[Sequence[LedgerRow]], Deltas],
        *,
        seconds: float,
    ) -> set[bytes]:
        new = [row for row in rows if row.row_id not in self.ids]
        self.ids |= {row.row_id for row in new}
        self.totals.update(merge(new).totals)
        return {row.row_id for row in new}


class Recorder:
    """Metrics that only remember."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def batch_committed(self, events: int, seconds: float) -> None:
        self.seen["committed"] += events

    def events_counted(self, kinds: Mapping[str, int], duplicates: int, rejected: int) -> None:
        self.seen.update(kinds)
        self.seen.update(duplicates=duplicates, rejected=rejected)

    def batch_failed(self, events: int) -> None:
        self.seen["failed"] += events

    def events_queued(self, events: int) -> None:
        self.seen["queued"] = events

    def events_refused(self, events: int) -> None:
        self.seen["refused"] += events

    def conflicted(self, attempt: int) -> None:
        self.seen["conflicts"] += 1


class Harness:
    def __init__(self, **options: float) -> None:
        self.store, self.metrics, clock = MemoryStore(), Recorder(), SystemClock()
        self.writer = BatchWriter(self.store, clock, self.metrics.conflicted)
        self.committer = Committer(self.writer, clock, self.metrics, **options)  # type: ignore[arg-type]


@pytest.fixture
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.committer.stop(seconds=1)


def rows(*names: str, kind: str = "sent") -> list[LedgerRow]:
    return [LedgerRow(name.encode(), "20260101", "a", kind, 1, 1) for name in names]


def test_it_works(harness: Harness) -> None:
    assert harness.committer.submit(rows("a", "b"), rejected=1) == CommitOutcome(sent=2, rejected=1)
    assert harness.committer.submit(rows("b", "c")) == CommitOutcome(sent=1, duplicates=1)
    assert harness.store.totals == {"dmsSent": 3, "rejected": 1, "duplicates": 1}


def test_arrivals_during_a_commit_share_the_next(harness: Harness) -> None:
    harness.store.pause = 0.02
    jobs = [gevent.spawn(harness.committer.submit, rows(f"{n}")) for n in range(100)]
    gevent.joinall(jobs, raise_error=True)
    assert harness.store.totals["dmsSent"] == 100
    assert len(harness.store.batches) <= 4


@pytest.mark.parametrize("failures", [[], [PoisonError("bad")], [StoreUnavailable("away")]])
def test_it_is_busy_while_a_request_waits(
    harness: Harness, failures: list[DmstatsError | None]
) -> None:
    seen: list[bool] = []
    harness.store.before_write = lambda: seen.append(harness.committer.busy)
    harness.store.failures = failures
    gevent.spawn(harness.committer.submit, rows("a")).join()
    assert set(seen) == {True}
    assert not harness.committer.busy


def test_what_is_ready_shares_the_batch(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests whose sockets become ready one after the other, without a pause between them."""
    monkeypatch.setattr(committing, "GATHER_SECONDS", 5.0)
    pipes = [os.pipe() for _ in range(11)]
    for end in chain.from_iterable(pipes):
        gevent.os.make_nonblocking(end)

    def submit(n: int) -> CommitOutcome:
        gevent.os.nb_read(pipes[n][0], 1)
        gevent.os.nb_write(pipes[n + 1][1], b"x")
        return harness.committer.submit(rows(f"{n}"))

    jobs = [gevent.spawn(submit, n) for n in range(10)]
    gevent.sleep(0.01)  # all of them wait
    gevent.os.nb_write(pipes[0][1], b"x")
    gevent.joinall(jobs, raise_error=True)
    for end in chain.from_iterable(pipes):
        os.close(end)
    assert harness.store.batches == [10]


def test_a_batch_waits_for_no_endless_work(harness: Harness) -> None:
    """However busy the worker is with something else; a request gives up by itself."""
    busy = gevent.spawn(lambda: [gevent.sleep(0) for _ in iter(int, 1)])
    try:
        assert harness.committer.submit(rows("a")) == CommitOutcome(sent=1)
    finally:
        busy.kill()


def test_the_day_is_looked_up_only_while_events_are_repeated(harness: Harness) -> None:
    """At first they may be: what a predecessor did not answer comes again."""
    for n in range(PREFETCH_BATCHES + 1):
        harness.committer.submit(rows(f"{n}"))
    assert harness.store.looked_up == [True] * PREFETCH_BATCHES + [False]
    harness.store.looked_up.clear()
    assert harness.committer.submit(rows("new", "1")) == CommitOutcome(sent=1, duplicates=1)
    assert harness.committer.submit(rows("newer")) == CommitOutcome(sent=1)
    assert harness.store.looked_up == [False, True, True]
    assert harness.metrics.seen["conflicts"] == 0


def test_one_event_elsewhere_is_always_looked_up(harness: Harness) -> None:
    for n in range(PREFETCH_BATCHES + 1):
        harness.committer.submit(rows(f"{n}"))
    ahead = LedgerRow(b"ahead", "other", "a", "sent", 1, 1, True, "", ("20260101", b"dated"))
    dated = LedgerRow(b"dated", "20260101", "a", "sent", 1, 1, False, "", ("other", b"ahead"))
    assert harness.committer.submit([ahead]) == CommitOutcome(sent=1)
    assert harness.committer.submit([dated]) == CommitOutcome(duplicates=1)


def test_one_event_in_many_requests_counts_once(harness: Harness) -> None:
    harness.store.pause = 0.005
    jobs = [gevent.spawn(harness.committer.submit, rows("same", f"own{n}")) for n in range(50)]
    gevent.joinall(jobs, raise_error=True)
    assert sum(job.value.sent for job in jobs) == 51
    assert harness.store.totals == {"dmsSent": 51, "duplicates": 49}


def test_one_event_judged_by_two_clocks_counts_once(harness: Harness) -> None:
    """Its time was in bounds at one delivery and out of bounds at the other."""
    dated = LedgerRow(b"dated", "20260101", "a", "sent", 1, 1, False, "", ("other", b"late"))
    late = LedgerRow(b"late", "other", "a", "sent", 1, 1, True, "", ("20260101", b"dated"))
    assert harness.committer.submit([dated, late]) == CommitOutcome(sent=1, duplicates=1)


def test_one_event_judged_by_two_clocks_in_batches_in_a_row_counts_once(harness: Harness) -> None:
    dated = LedgerRow(b"dated", "20260101", "a", "sent", 1, 1, False, "", ("other", b"late"))
    late = LedgerRow(b"late", "other", "a", "sent", 1, 1, True, "", ("20260101", b"dated"))
    harness.store.pause = 0.02
    first = gevent.spawn(harness.committer.submit, [dated])
    gevent.sleep(0.01)
    second = gevent.spawn(harness.committer.submit, [late])
    gevent.joinall([first, second], raise_error=True)
    assert second.value == CommitOutcome(duplicates=1)


def test_what_is_being_written_is_known_to_the_next_batch(harness: Harness) -> None:
    harness.store.pause = 0.02
    first = gevent.spawn(harness.committer.submit, rows("x"))
    gevent.sleep(0.01)  # "x" is being written now
    second = gevent.spawn(harness.committer.submit, rows("x"))
    gevent.joinall([first, second], raise_error=True)
    assert second.value == CommitOutcome(duplicates=1)
    assert harness.metrics.seen["conflicts"] == 0


def test_a_conflict_makes_the_whole_attempt_again(harness: Harness) -> None:
    harness.store.failures = [Conflict("1"), Conflict("2")]
    assert harness.committer.submit(rows("a")) == CommitOutcome(sent=1)
    assert harness.metrics.seen["conflicts"] == 2
    # What others write meanwhile is met in the transaction: no need to look again.
    assert harness.store.looked_up == [True]


def of_account(account: str, name: str) -> list[LedgerRow]:
    return [LedgerRow(name.encode(), "20260101", account, "sent", 1, 1)]


def test_a_refused_account_costs_its_batch_one_attempt(harness: Harness) -> None:
    harness.store.unwritable = {"b", "c"}
    brought = [*of_account("a", "1"), *of_account("b", "2"), *of_account("c", "3")]
    assert harness.committer.submit(brought) == CommitOutcome(sent=3)
    # All accounts of that batch are deferred at once; a background job counts into the good ones.
    assert harness.store.deferred == [{"a", "b", "c"}]
    assert harness.committer.submit(
        [*of_account("a", "4"), *of_account("b", "5")]
    ) == CommitOutcome(sent=2)
    assert harness.store.deferred[1:] == [{"b"}]
    assert harness.store.totals["dmsSent"] == 5
    assert harness.metrics.seen["conflicts"] == 0


def test_a_committer_whose_greenlet_died_is_started_again(harness: Harness) -> None:
    assert harness.committer.submit(rows("a")) == CommitOutcome(sent=1)
    assert harness.committer._greenlet is not None
    harness.committer._greenlet.kill()
    assert harness.committer.submit(rows("b")) == CommitOutcome(sent=1)


@pytest.mark.parametrize("report", ["events_queued", "batch_committed", "events_counted"])
def test_a_defect_in_a_report_costs_no_later_batch(harness: Harness, report: str) -> None:
    def defect(*_: object, **__: object) -> None:
        delattr(harness.metrics, report)
        raise RuntimeError(report)

    setattr(harness.metrics, report, defect)
    with contextlib.suppress(Unavailable):
        harness.committer.submit(rows("a"))
    harness.committer.submit(rows("a", "b"))
    assert harness.store.ids == {b"a", b"b"}


def test_while_commits_fail_new_requests_are_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PROBE_AGAIN_SECONDS", 60.0)
    harness = Harness(commit_seconds=20.0, probe_seconds=20.0)
    harness.store.failures = [StoreUnavailable("down")] * 3
    for name in "ab":
        with pytest.raises(Unavailable):
            harness.committer.submit(rows(name))
    started = time.monotonic()
    for name in "cdefg":
        with pytest.raises(Unavailable, match="cannot commit right now"):
            harness.committer.submit(rows(name))
    assert time.monotonic() - started < 20
    assert harness.metrics.seen["refused"] == 5
    harness.committer._breaker._probe_at = 0.0  # the pause is over
    with pytest.raises(Unavailable):
        harness.committer.submit(rows("h"))  # the probe fails, too
    harness.committer._breaker._probe_at = 0.0
    assert harness.committer.submit(rows("h")) == CommitOutcome(sent=1)
    assert harness.committer.submit(rows("i")) == CommitOutcome(sent=1)
    harness.committer.stop(seconds=1)


def test_a_database_that_needs_longer_than_a_request_waits_still_counts() -> None:
    """Each commit takes longer than a request waits as a rule: probes are given more time."""
    harness = Harness(commit_seconds=0.2, probe_seconds=2.0)
    harness.store.pause = 0.5
    harness.store.slow = True
    counted: list[float] = []
    until = time.monotonic() + 6

    def send(number: int) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(Unavailable):
                harness.committer.submit(rows(f"{number}-{time.monotonic()}"))
                counted.append(time.monotonic())
            gevent.sleep(0.01)

    gevent.joinall([gevent.spawn(send, number) for number in range(20)], raise_error=True)
    gaps = [
        after - before for before, after in zip(sorted(counted), sorted(counted)[1:], strict=False)
    ]
    assert len(counted) >= 20
    assert max(gaps) < 2.5
    harness.committer.stop(seconds=1)


def test_a_host_without_conflicts_does_not_pause(harness: Harness) -> None:
    """However long its look-ups take: where all is repeated there is little else to do."""
    know = harness.store.find_existing

    def slowly(rows: Sequence[LedgerRow], *, seconds: float, primary_ids: bool) -> set[bytes]:
        gevent.sleep(0.02)
        return know(rows, seconds=seconds, primary_ids=primary_ids)

    harness.store.find_existing = slowly  # type: ignore[method-assign]
    for _ in range(3):
        harness.committer.submit(rows("a"))
        assert harness.writer.pause < 0.001


def test_a_host_that_met_conflicts_pauses(harness: Harness) -> None:
    harness.store.failures = [Conflict("1")] * 3
    harness.committer.submit(rows("a"))
    assert harness.writer.pause > 0.001


def test_another_worker_may_win(harness: Harness) -> None:
    harness.store.failures = [Conflict("1")]
    harness.store.before_write = lambda: harness.store.ids.add(b"a")
    assert harness.committer.submit(rows("a", "b")) == CommitOutcome(sent=1, duplicates=1)
    assert harness.store.looked_up == [True, True]


def test_what_failed_is_not_acknowledged(harness: Harness) -> None:
    harness.store.failures = [StoreUnavailable("gone")]
    with pytest.raises(Unavailable, match="gone"):
        harness.committer.submit(rows("a"))
    assert harness.store.totals == {}
    assert harness.committer.submit(rows("a")) == CommitOutcome(sent=1)


def test_what_failed_is_freed_although_nothing_more_comes(harness: Harness) -> None:
    """Its locks would keep the others out for a minute."""
    harness.store.failures = [StoreUnavailable("gone")]
    harness.store.unsettled = 2
    with pytest.raises(Unavailable):
        harness.committer.submit(rows("a"))
    for _ in range(30):
        gevent.sleep(0.1)
        if not harness.store.unsettled:
            break
    assert not harness.store.unsettled


def test_endless_conflicts_end_with_503_within_the_commit_timeout() -> None:
    harness = Harness(commit_seconds=0.2)
    harness.store.failures = [Conflict("again")] * 1000
    started = SystemClock().monotonic()
    with pytest.raises(Unavailable):
        harness.committer.submit(rows("a"))
    assert SystemClock().monotonic() - started < 10
    harness.committer.stop(seconds=1)


def test_a_poison_event_fails_alone(harness: Harness) -> None:
    harness.store.poison = {b"bad", b"worse"}
    names = [f"ok{n}" for n in range(9)]
    counted = harness.committer.submit(rows(*names[:4], "bad", *names[4:], "worse"), rejected=1)
    assert counted == CommitOutcome(sent=9, rejected=3)
    assert harness.store.totals == {"dmsSent": 9, "rejected": 3}
    assert harness.committer.submit(rows("bad")) == CommitOutcome(duplicates=1)


def test_the_queue_is_bounded() -> None:
    harness = Harness(max_queued=3, commit_seconds=0.5)
    harness.store.pause = 0.05
    waiting = [gevent.spawn(harness.committer.submit, rows("a"))]
    gevent.sleep(0.02)
    waiting += [gevent.spawn(harness.committer.submit, rows("b")) for _ in range(2)]
    gevent.sleep(0)
    with pytest.raises(Unavailable, match="Too many"):
        harness.committer.submit(rows("c", "d", "e", "f"))
    assert harness.metrics.seen["refused"] == 4
    gevent.joinall(waiting, raise_error=True)
    harness.committer.stop(seconds=1)


def test_a_batch_is_bounded() -> None:
    harness = Harness(max_batch=5)
    harness.store.pause = 0.01
    jobs = [gevent.spawn(harness.committer.submit, rows(f"{n}a", f"{n}b")) for n in range(10)]
    gevent.joinall(jobs, raise_error=True)
    assert max(harness.store.batches) <= 5
    assert harness.store.totals["dmsSent"] == 20
    harness.committer.stop(seconds=1)


def test_stopping_drains_the_queue(harness: Harness) -> None:
    harness.store.pause = 0.02
    jobs = [gevent.spawn(harness.committer.submit, rows(f"{n}")) for n in range(20)]
    gevent.sleep(0.01)
    harness.committer.stop(seconds=2)
    gevent.joinall(jobs, raise_error=True)
    assert harness.store.totals["dmsSent"] == 20
    with pytest.raises(Unavailable, match="shutting down"):
        harness.committer.submit(rows("late"))


def test_a_defect_costs_one_batch(harness: Harness) -> None:
    def break_once() -> None:
        harness.store.before_write = lambda: None
        raise ZeroDivisionError

    harness.store.before_write = break_once
    with pytest.raises(Unavailable):
        harness.committer.submit(rows("a"))
    assert harness.committer.submit(rows("a")) == CommitOutcome(sent=1)


def test_without_transactions_the_ledger_decides(harness: Harness) -> None:
    harness.store.transactional = False
    assert harness.committer.submit(rows("a", "b"), rejected=1) == CommitOutcome(sent=2, rejected=1)
    harness.store.find_existing = lambda rows, seconds, primary_ids: set()  # type: ignore[method-assign,misc]
    assert harness.committer.submit(rows("b", "c")) == CommitOutcome(sent=1, duplicates=1)
    assert harness.store.totals == {"dmsSent": 3, "rejected": 1, "duplicates": 1}
