"""One look of an audit, made sure of, and mended where that is wanted."""

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
"""Longer than a batch may take: without transactions, what differs still is none under way."""


class Verifier:
    """Looks until a difference is beyond doubt. ``sleep`` takes seconds."""

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
        """What ``read`` makes of what is there now."""
        return self._reader.read(audit, read)

    def confirm(
        self, audit: AuditRun, read: Callable[[View], CheckResult], repaired: list[Difference]
    ) -> CheckResult:
        """What ``read`` finds, twice; what was mended is added to ``repaired``."""
        finding = self._reader.read(audit, read)
        for _ in range(TRIES):
            if not finding.differences and not finding.accounts:
                break
            if not self._reader.has_snapshots:
                self._sleep(SETTLE_SECONDS)
            before, finding = finding, self._reader.read(audit, read)
            finding.differences = self._same(before.differences, finding.differences)
            finding.accounts = self._same(before.accounts, finding.accounts)
            mended = finding.differences
            if not self._repairs or not mended:
                break
            if self._repairs.apply(mended, version=finding.version):
                repaired += mended
                finding = self._reader.read(audit, read)
        return finding

    @property
    def repairs(self) -> Repairs | None:
        """What mends, if anything is to be mended."""
        return self._repairs

    def version(self, audit: AuditRun) -> int:
        """How many repairs there were."""
        return self._reader.read(audit, lambda view: view.version)

    def _same(self, before: Sequence[Difference], after: Sequence[Difference]) -> list[Difference]:
        """The differences of both looks.

        Beside traffic a difference stays while both of its sides grow. Where a look is not of one
        moment, one that grew may be a batch under way: both sides must have stood still.
        """
        if not self._reader.has_snapshots:
            return [difference for difference in after if difference in before]
        known = {(d.place, d.key, d.field, d.missing) for d in before}
        return [d for d in after if (d.place, d.key, d.field, d.missing) in known]
