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

AFTERMATH_SECONDS = {"launcher": 15.0, "web server": 10.0, "database": 8.0}
OTHER_AFTERMATH_SECONDS = 5.0
"""How long after a kill, or after its end, refusals may be its consequence."""
LONGEST_OUTSIDE_SECONDS = 2.0
"""The longest acceptable time without a 200, and of refusals of one event, outside kills."""

TARGETS = {"worker": 2.0, "database": 5.0}
"""The longest acceptable time without a 200 around each kind of kill, in seconds."""


class PlatformFigures(msgspec.Struct):
    """What the second writer did, and what the audits said about it.

    ``audits`` ended during the run; ``drifting`` of these and of those after it found drift.
    ``explained`` accounts were attributed to the platform by the first audit after the run,
    ``unexplained`` ones differed again in the next. ``untouched`` tells whether `--repair` left the
    counters of all accounts as they were.
    """

    writes: dict[str, int]
    uncertain: int
    waiting: int
    audits: int
    drifting: int
    explained: int
    unexplained: int
    unreadable: int
    untouched: bool

    @property
    def exact(self) -> bool:
        """Whether the audits explained everything, and nothing waits in the backlog."""
        wrong = self.drifting or self.unexplained or self.unreadable or self.waiting
        return not wrong and self.untouched


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
    refused: Sequence[tuple[float, float]]
    ended: float
    kills: Sequence[Kill]
    audit: str
    platform: PlatformFigures | None = None

    @property
    def exact(self) -> bool:
        """Whether nothing was lost or doubled, and everything was acknowledged in the end."""
        explained = self.platform is None or self.platform.exact
        return self.settled and self.recount.exact and self.audit != "drift" and explained

    @property
    def steady(self) -> bool:
        """Whether deliveries were answered 200 all along, except around kills."""
        _, longest, refused = outside(self)
        return max(longest, refused) <= LONGEST_OUTSIDE_SECONDS


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


def outside(figures: Figures) -> tuple[float, float, float]:
    """Outside the kills and their aftermath: the seconds observed, the longest time without a 200,
    and the longest time between the first and the last refusal of one event."""
    if not figures.answered:
        return 0.0, 0.0, 0.0
    spans, start = [], figures.answered[0]
    for kill in figures.kills:
        aftermath = AFTERMATH_SECONDS.get(kill.kind, OTHER_AFTERMATH_SECONDS)
        if kill.at > start:
            spans.append((start, kill.at))
        start = max(start, (kill.over or kill.back or kill.at) + aftermath)
    if figures.ended > start:
        spans.append((start, figures.ended))
    without = [longest_gap([start, *_within(figures.answered, start, end)], start, end)
               for start, end in spans]  # fmt: skip
    refused = [
        last - first
        for first, last in figures.refused
        if any(start <= first and last <= end for start, end in spans)
    ]
    seconds = sum(end - start for start, end in spans)
    return seconds, max(without, default=0.0), max(refused, default=0.0)


def _within(times: Sequence[float], start: float, end: float) -> Sequence[float]:
    return times[bisect_left(times, start) : bisect_right(times, end)]


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
    seconds, longest, refused = outside(figures)
    yield f"| the same outside kills (in {seconds:,.0f} s) | {longest:.2f} s |"
    yield f"| longest refusal of one event outside kills | {refused:.2f} s |"
    if figures.platform:
        yield from _platform(figures.platform, figures.seconds)
    yield ""
    for drift in recount.drifts[:20]:
        yield f"- {drift}"
    if not figures.kills:
        return
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


def _platform(platform: PlatformFigures, seconds: float) -> Iterator[str]:
    writes = sum(platform.writes.values())
    kinds = ", ".join(f"{kind}: {n:,}" for kind, n in sorted(platform.writes.items()))
    yield f"| the platform's writes to accounts | {writes:,} ({writes / seconds:,.0f}/s): {kinds} |"
    yield f"| accounts left out, as a write was not answered | {platform.uncertain:,} |"
    yield f"| accounts with waiting increments at the end | {platform.waiting:,} |"
    yield f"| audits during the run / audits with drift | {platform.audits} / {platform.drifting} |"
    explained = f"{platform.explained} / {platform.unexplained}"
    yield f"| accounts that the audit explained / did not | {explained} |"
    yield f"| documents that it could not read, after `--repair` | {platform.unreadable:,} |"
    untouched = "yes" if platform.untouched else "**no**"
    yield f"| `--repair` left all account counters as they were | {untouched} |"


def _spread(seconds: Sequence[float]) -> str:
    median = sorted(seconds)[len(seconds) // 2]
    return f"{median:.2f} s (median; {max(seconds):.2f} at most)"


def _statuses(figures: Figures) -> str:
    return ", ".join(f"{status}: {n:,}" for status, n in sorted(figures.statuses.items()))
