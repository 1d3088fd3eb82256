"""Confirms the differences found by a check with a second read, and optionally repairs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from dmstats.audit.checks import CheckResult
from dmstats.db.audit.differences import Difference
from dmstats.db.audit.repairs import Repairs
from dmstats.db.audit.snapshot_reader import AuditRun, SnapshotReader, View

T = TypeVar("T")

TRIES = 5
SETTLE_SECONDS = 15.0
"""Longer than a batch may take. Without transactions, a difference that remains after this time is
not caused by a batch in progress."""


class Verifier:
    """Repeats checks until their differences are confirmed. ``sleep`` takes seconds."""

    def __init__(
        self,
        reader: SnapshotReader,
        *,
        repairs: Repairs | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reader = reader
        self._repairs = repairs
        self._sleep = sleep

    def read(self, audit: AuditRun, read: Callable[[View], T]) -> T:
        """The result of ``read`` on a new snapshot."""
        return self._reader.read(audit, read)

    def confirm(
        self, audit: AuditRun, read: Callable[[View], CheckResult], repaired: list[Difference]
    ) -> CheckResult:
        """The differences that ``read`` finds twice; repaired ones are added to ``repaired``."""
        finding = self._reader.read(audit, read)
        for _ in range(TRIES):
            if not finding.differences and not finding.accounts:
                break
            if not self._reader.has_snapshots:
                self._sleep(SETTLE_SECONDS)
            before, finding = finding, self._reader.read(audit, read)
            finding.differences = self._same(before.differences, finding.differences)
            finding.accounts = self._same(before.accounts, finding.accounts)
            confirmed = finding.differences
            if not self._repairs or not confirmed:
                break
            if self._repairs.apply(confirmed, version=finding.version):
                repaired += confirmed
                finding = self._reader.read(audit, read)
        return finding

    @property
    def repairs(self) -> Repairs | None:
        """The repairs; None if differences are only reported."""
        return self._repairs

    def version(self, audit: AuditRun) -> int:
        """The current version of the repairs."""
        return self._reader.read(audit, lambda view: view.version)

    def _same(self, before: Sequence[Difference], after: Sequence[Difference]) -> list[Difference]:
        """The differences found by both reads.

        During traffic both sides of a difference grow by the same number. Without snapshots, a
        growing side may be a batch in progress, so both sides must be unchanged.
        """
        if not self._reader.has_snapshots:
            return [difference for difference in after if difference in before]
        known = {(d.place, d.key, d.field, d.missing) for d in before}
        return [d for d in after if (d.place, d.key, d.field, d.missing) in known]
