"""The requests of one commit, and what became of each one's events; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from dmstats.core.records import CANARY, RECEIVED, SENT, LedgerRow


class CommitOutcome(msgspec.Struct):
    """What became of some events: DMs sent and received, other events, and what was not new."""

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
    """The submissions of one commit, whatever kind of submission they are.

    ``pending`` holds the rows still to be judged, by id, each event once; ``duplicates`` counts
    its repetitions. ``counted`` and ``refused`` fill as rows are written.
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
        """Take the events that the ledger holds already out of ``pending``."""
        for row_id in known & self.pending.keys():
            self.duplicates += self.pending.pop(row_id).kind != CANARY

    def mark_counted(self, rows: Sequence[LedgerRow]) -> None:
        """These rows are durable."""
        for row in rows:
            self.counted[row.row_id] = self.pending.pop(row.row_id)

    def mark_refused(self, row: LedgerRow) -> None:
        """The database refuses to count this row."""
        del self.pending[row.row_id]
        self.refused.add(row.row_id)

    def unreported(self) -> tuple[int, int]:
        """The duplicates and unreadable entries that no transaction has added yet."""
        return self.duplicates - self._reported[0], self.rejected - self._reported[1]

    def mark_reported(self) -> None:
        """The duplicates and unreadable entries up to now are durable."""
        self._reported = (self.duplicates, self.rejected)

    def outcomes(self) -> list[CommitOutcome]:
        """One answer per submission; the first to bring an event is told that it counted."""
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
