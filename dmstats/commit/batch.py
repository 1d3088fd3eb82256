"""The requests of one group commit, and the outcome of each; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from dmstats.core.records import CANARY, RECEIVED, SENT, LedgerRow


class CommitOutcome(msgspec.Struct):
    """How a request's events were counted: DMs sent and received, other events, duplicates, and
    rejected entries."""

    sent: int = 0
    received: int = 0
    other: int = 0
    duplicates: int = 0
    rejected: int = 0


class Submission:
    """One request's events; ``deadline`` is the monotonic time at which it stops waiting."""

    __slots__ = ("deadline", "rejected", "rows")

    def __init__(self, rows: Sequence[LedgerRow], *, rejected: int, deadline: float) -> None:
        self.rows = rows
        self.rejected = rejected
        self.deadline = deadline


S = TypeVar("S", bound=Submission)


class Batch(Generic[S]):
    """The submissions of one commit.

    ``pending`` holds the rows that are not yet written, by id, each event once; ``duplicates``
    counts repeated events. ``counted`` and ``refused`` fill up as rows are written.
    """

    def __init__(self, submissions: Sequence[S], *, started: float) -> None:
        self.submissions = submissions
        self.started = started
        self.deadline = max(submission.deadline for submission in submissions)
        self.rejected = sum(submission.rejected for submission in submissions)
        self.pending: dict[bytes, LedgerRow] = {}
        for submission in submissions:
            for row in submission.rows:
                if row.alternate_id is None or row.alternate_id[1] not in self.pending:
                    self.pending.setdefault(row.row_id, row)
        events = sum(len(submission.rows) for submission in submissions)
        self.duplicates = events - len(self.pending)
        self._reported = (0, 0)
        self.counted: dict[bytes, LedgerRow] = {}
        self.refused: set[bytes] = set()

    def drop_known(self, known: set[bytes]) -> None:
        """Remove the events that are already in the ledger from ``pending``."""
        for row_id in known & self.pending.keys():
            self.duplicates += self.pending.pop(row_id).kind != CANARY

    def mark_counted(self, rows: Sequence[LedgerRow]) -> None:
        """Record that these rows are durable."""
        for row in rows:
            self.counted[row.row_id] = self.pending.pop(row.row_id)

    def mark_refused(self, row: LedgerRow) -> None:
        """Record that the database refuses this row."""
        del self.pending[row.row_id]
        self.refused.add(row.row_id)

    def unreported(self) -> tuple[int, int]:
        """The duplicates and unreadable entries that no transaction has written yet."""
        return self.duplicates - self._reported[0], self.rejected - self._reported[1]

    def mark_reported(self) -> None:
        """Record that the duplicates and unreadable entries so far are durable."""
        self._reported = (self.duplicates, self.rejected)

    def outcomes(self) -> list[CommitOutcome]:
        """One outcome per submission; the first submission with an event gets it as counted."""
        unclaimed, refused = set(self.counted), set(self.refused)
        outcomes = []
        for submission in self.submissions:
            outcome = CommitOutcome(rejected=submission.rejected)
            for row in submission.rows:
                if row.row_id in unclaimed:
                    unclaimed.discard(row.row_id)
                    if row.kind == SENT:
                        outcome.sent += 1
                    elif row.kind == RECEIVED:
                        outcome.received += 1
                    elif row.kind != CANARY:
                        outcome.other += 1
                elif row.row_id in refused:
                    refused.discard(row.row_id)
                    outcome.rejected += 1
                elif row.kind != CANARY:
                    outcome.duplicates += 1
            outcomes.append(outcome)
        return outcomes
