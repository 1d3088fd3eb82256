"""The audit: recounts the ledger during live traffic, in bounded steps.

Hour by hour, it reads the rows and the hour's document in one snapshot, and stores the sums as a
summary. At the end it reads accounts and totals in one snapshot with the hours' documents. If an
hour's document is unchanged, its summary is still valid; the other hours are read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import suppress
from functools import partial

import msgspec

from dmstats.audit.checks import (
    CheckResult,
    check_accounts,
    check_days,
    check_hours,
    check_late_rows,
    check_old_days,
    hours_of,
)
from dmstats.audit.comparison import are_ours, drift
from dmstats.audit.verifier import Verifier
from dmstats.core.clock import HOUR_MS, Clock
from dmstats.core.errors import DmstatsError, TransactionExpired
from dmstats.db.audit.archive import Archive, hour_chunks
from dmstats.db.audit.differences import Difference, OddDocument
from dmstats.db.audit.runs import AuditRuns, RunPlan
from dmstats.db.audit.snapshot_reader import AuditOutdated, AuditRun, View
from dmstats.db.counting.ledger import batched
from dmstats.states.rhythm import rhythms_of

MAX_REREAD_HOURS = 6
"""Up to this many changed hours are read again within the check of accounts and totals; fewer where
that takes longer than the server allows a transaction."""


DAYS_AT_ONCE = 31
"""How many days are compared in one snapshot: their documents are a few MB."""


class Progress(msgspec.Struct, frozen=True):
    """Step ``done`` of ``total`` is complete; ``what`` was checked."""

    done: int
    total: int
    what: str


class Outcome(msgspec.Struct):
    """The result of an audit.

    ``found`` has the remaining differences by what was checked, ``repaired`` those that were
    repaired, ``changed`` those that the host platform caused since the last audit, and ``odd`` the
    documents with unreadable values.
    """

    found: dict[str, list[Difference]] = msgspec.field(default_factory=dict)
    repaired: list[Difference] = msgspec.field(default_factory=list)
    changed: list[Difference] = msgspec.field(default_factory=list)
    odd: list[OddDocument] = msgspec.field(default_factory=list)

    @property
    def differences(self) -> list[Difference]:
        """All remaining differences."""
        return [difference for found in self.found.values() for difference in found]

    @property
    def drift(self) -> int:
        """The number of events by which the counters differ."""
        return drift(self.differences)


class Auditor:
    """Runs audits; differences are repaired if ``verifier`` has repairs.

    With ``believe_ledger`` accounts are always repaired from the ledger, whatever the cause. Use it
    after a restore, before the platform has changed anything.
    """

    def __init__(
        self,
        verifier: Verifier,
        runs: AuditRuns,
        archive: Archive,
        clock: Clock,
        *,
        believe_ledger: bool = False,
    ) -> None:
        self._believe_ledger = believe_ledger
        self._verifier = verifier
        self._runs = runs
        self._archive = archive
        self._clock = clock
        self._most_reread = MAX_REREAD_HOURS

    def steps(self, kind: str, outcome: Outcome) -> Generator[Progress, None, None]:
        """Continue the interrupted run of this ``kind``, or start a new one.

        After the iterator is closed, the next call continues, in this or another process.
        ``outcome`` is updated at each step. Raises
        :class:`~dmstats.core.errors.StoreUnavailable`.
        """
        while True:
            audit = self._runs.begin(kind, self._archive.finish_closing(), self._clock.now_ms())
            over = True
            try:
                yield from self._run(audit, outcome)
                self._runs.publish(outcome.drift, outcome.odd, self._clock.now_ms())
            except AuditOutdated:
                outcome.found.clear()
                outcome.odd.clear()
                continue
            except BaseException:
                over = False
                raise
            finally:
                with suppress(DmstatsError):
                    (self._runs.end if over else self._runs.leave)(audit)
            return

    def _run(self, audit: AuditRun, outcome: Outcome) -> Iterator[Progress]:
        plan = self._runs.plan()
        done, total = 0, 25 * len(plan.live) + len(plan.old) + len(audit.parts)
        read_before = self._read_before(audit, plan, outcome)
        for day, partition in plan.live.items():
            left = [hour for hour in hours_of(day) if hour not in read_before]
            for last in self._read_hours(audit, left, partition, outcome):
                yield Progress(done + (last - day) // HOUR_MS + 1, total, f"hours of {partition}")
            done += 24
        self._store(audit, self._verifier.read(audit, check_late_rows), outcome)
        for days in batched(plan.old, DAYS_AT_ONCE):
            self._check(audit, f"days {days[0]}", partial(self._check_old, days=days), outcome)
            done += len(days)
            yield Progress(done, total, "days in the archive")
        for days in batched(plan.live, DAYS_AT_ONCE):
            self._check(audit, f"days {days[0]}", partial(check_days, days=days), outcome)
            done += len(days)
            yield Progress(done, total, "days")
        writer, accounts = self._runs.activity_writer(audit), list[Difference]()
        for done, part in enumerate(audit.parts, done + 1):  # noqa: B020
            check = partial(self._check_accounts, part=part)
            finding = self._check(audit, f"part {part}", check, outcome)
            accounts += finding.accounts
            if finding.new_bases and (repairs := self._verifier.repairs):
                repairs.rebase(finding.new_bases)
            if (activity := finding.activity) is not None:
                first, since_ms = audit.first(part), finding.since_ms
                periods = {"hours": activity.hour_count, "days": activity.day_count}
                counted, before = activity.accounts(), self._runs.rhythms(audit, part)
                rhythms = rhythms_of(
                    counted, before, finding.used, hour_ms=activity.last_hour, **periods
                )
                writer.keep(first, activity.at_ms, since_ms, counted, rhythms, **periods)
            yield Progress(done, total, "accounts and totals")
        # An account that was forgotten since the last read must not be published.
        self._verifier.version(audit)
        writer.publish(self._runs.under_way(), self._clock.now_ms())
        self._attribute(audit, accounts, outcome)

    def _attribute(self, audit: AuditRun, accounts: list[Difference], outcome: Outcome) -> None:
        """Attribute differences of accounts to counting or to the host platform.

        The platform's changes are recorded as known. A deleted account cannot be repaired: its DMs
        stay in hours, days and totals.
        """
        others = [*outcome.differences, *outcome.repaired]
        ours = self._believe_ledger or are_ours(accounts, others)
        lost = [each for each in accounts if ours and each.why != "deleted"]
        changed = [each for each in accounts if each not in lost]
        repairs = self._verifier.repairs
        if lost and repairs and repairs.apply(lost, version=self._verifier.version(audit)):
            outcome.repaired += lost
            lost = []
        outcome.found["accounts"] = lost
        outcome.changed += changed
        if not ours:  # otherwise the next audit decides, after the repair
            self._runs.explain(changed, self._clock.now_ms())

    def _read_before(self, audit: AuditRun, plan: RunPlan, outcome: Outcome) -> Collection[int]:
        """The hours that this run has read before an interruption."""
        hours = [hour for day in plan.live for hour in hours_of(day)]
        pages = self._verifier.read(audit, lambda view: view.pages(hours))
        for hour, page in pages.items():
            outcome.found[f"hour {hour}"] = page.differences
        return pages

    def _read_hours(
        self, audit: AuditRun, left: list[int], partition: str, outcome: Outcome
    ) -> Iterator[int]:
        """Read hours of one day; yields the last of each chunk."""
        if not left:
            return
        chunks = deque(hour_chunks(left, self._runs.rows(partition)))
        while chunks:
            hours = chunks.popleft()
            read = partial(check_hours, partition=partition, hours=hours)
            try:
                found = self._verifier.confirm(audit, read, outcome.repaired)
            except TransactionExpired:
                if len(hours) == 1:
                    raise
                middle = len(hours) // 2
                chunks.extendleft([hours[middle:], hours[:middle]])
                continue
            self._store(audit, found, outcome)
            yield hours[-1]

    def _store(self, audit: AuditRun, finding: CheckResult, outcome: Outcome) -> None:
        outcome.odd += finding.odd
        for page, _ in finding.pages:
            page.differences = [d for d in finding.differences if d.key == str(page.hour)]
            outcome.found[f"hour {page.hour}"] = page.differences
        self._runs.keep(audit, finding.pages, self._clock.now_ms())

    def _check(
        self, audit: AuditRun, what: str, read: Callable[[View], CheckResult], outcome: Outcome
    ) -> CheckResult:
        """Check ``what``; first reads hours again where that is needed."""
        while True:
            self._runs.touch(audit, self._clock.now_ms())
            try:
                finding = self._verifier.confirm(audit, read, outcome.repaired)
            except TransactionExpired:
                if self._most_reread == 1:
                    raise
                self._most_reread //= 2
                continue
            if not finding.stale_hours:
                break
            hours = set(finding.stale_hours)
            self._runs.invalidate(audit, hours)
            for day, partition in self._runs.live().items():
                stale = [hour for hour in hours_of(day) if hour in hours]
                list(self._read_hours(audit, stale, partition, outcome))
        outcome.found[what] = finding.differences
        outcome.odd += finding.odd
        return finding

    def _check_old(self, view: View, *, days: Collection[int]) -> CheckResult:
        finding = check_old_days(view, days)
        # A very late event may have created a partition again.
        if finding.differences and not self._runs.live().keys().isdisjoint(days):
            raise AuditOutdated
        return finding

    def _check_accounts(self, view: View, *, part: int) -> CheckResult:
        # Listed after the snapshot started, so the list has every partition with counted rows.
        live = self._runs.live()
        return check_accounts(view, part, live, self._clock.now_ms(), most=self._most_reread)
