"""The result of a torture run: its figures, as a table."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest

import msgspec

from tests.torture.kills import Kill
from tests.torture.recount import Recount

AFTER_SECONDS = 15.0
"""A gap in the answers that begins later than this after a kill is not attributed to it."""

TARGETS = {"worker": 2.0, "database": 5.0}
"""The longest acceptable time without a 200 around each kind of kill, in seconds."""


class Figures(msgspec.Struct):
    """Everything that the table shows."""

    seed: int
    seconds: float
    dms: int
    acknowledged: int
    settled: bool
    posts: int
    retried: int
    repeated: int
    stepped: int
    statuses: dict[str, int]
    slow: int
    recount: Recount
    answered: Sequence[float]
    kills: Sequence[Kill]
    audit: str

    @property
    def exact(self) -> bool:
        """Whether nothing was lost or doubled, and everything was acknowledged in the end."""
        return self.settled and self.recount.exact and self.audit != "drift"


def longest_gap(answered: Sequence[float], start: float, end: float) -> float:
    """The longest time without a 200, from the last one before ``start`` to ``end``."""
    first = max(0, bisect_left(answered, start) - 1)
    around = [*answered[first : bisect_right(answered, end)], end]
    return max((b - a for a, b in pairwise(around)), default=0.0)


def gaps(figures: Figures) -> dict[str, list[float]]:
    """The longest gap after each kill, by what was killed."""
    by_kind: dict[str, list[float]] = {}
    for kill, following in zip_longest(figures.kills, figures.kills[1:]):
        end = kill.at + AFTER_SECONDS
        end = min(end, following.at if following else figures.answered[-1])
        kind = kill.kind if kill.alone else "two at once"
        by_kind.setdefault(kind, []).append(longest_gap(figures.answered, kill.at, end))
    return by_kind


def returns(figures: Figures) -> list[tuple[float, float]]:
    """For each death of the database alone: how long it was away, and from then to a 200."""
    found = []
    for kill in figures.kills:
        if kill.back is not None and kill.alone:
            next_one = bisect_right(figures.answered, kill.back)
            if next_one < len(figures.answered):
                found.append((kill.back - kill.at, figures.answered[next_one] - kill.back))
    return found


def lines(figures: Figures) -> Iterator[str]:
    """The table, in Markdown."""
    recount, answered = figures.recount, figures.answered
    overall = longest_gap(answered, answered[0], answered[-1]) if answered else 0.0
    yield f"Seed {figures.seed}, {figures.seconds:,.0f} s, {len(figures.kills)} kills."
    yield ""
    yield "| | |"
    yield "|---|--:|"
    yield f"| DMs made | {figures.dms:,} |"
    yield f"| events acknowledged (DMs and others) | {figures.acknowledged:,} |"
    yield f"| counted | {recount.rows:,} |"
    yield f"| **lost** | **{recount.lost:,}** |"
    yield f"| **doubled** | **{recount.doubled:,}** |"
    yield f"| counted, never sent | {recount.unknown:,} |"
    yield f"| counters that are not their rows' sum | {len(recount.drifts):,} |"
    yield f"| `flask audit` | {figures.audit} |"
    yield f"| POSTs / answers | {figures.posts:,} / {_statuses(figures)} |"
    yield f"| answers that took over 3 s | {figures.slow:,} |"
    yield f"| events sent again in other POSTs | {figures.retried:,} |"
    yield f"| duplicates not sent on purpose | {figures.repeated:,} |"
    yield f"| POSTs by a stepped clock / late rows | {figures.stepped:,} / {recount.late:,} |"
    yield f"| longest time without a 200 | {overall:.2f} s |"
    yield ""
    yield "| killed | times | longest without a 200: median | worst | target |"
    yield "|---|--:|--:|--:|--:|"
    for kind, found in sorted(gaps(figures).items()):
        median = sorted(found)[len(found) // 2]
        target = f"< {TARGETS[kind]:.0f} s" if kind in TARGETS else ""
        yield f"| {kind} | {len(found)} | {median:.2f} s | {max(found):.2f} s | {target} |"
    if back := returns(figures):
        away, then = zip(*back, strict=True)
        yield ""
        yield (
            f"A database that was killed took connections again after {_spread(away)}; "
            f"the first 200 came {_spread(then)} later."
        )
    for drift in recount.drifts[:20]:
        yield f"- {drift}"


def _spread(seconds: Sequence[float]) -> str:
    median = sorted(seconds)[len(seconds) // 2]
    return f"{median:.2f} s (median; {max(seconds):.2f} at most)"


def _statuses(figures: Figures) -> str:
    return ", ".join(f"{status}: {n:,}" for status, n in sorted(figures.statuses.items()))
