"""``python -m benchmarks tables``: write the pages again from the stored measurements."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import (
    account_states,
    alone,
    commits,
    constant,
    endured,
    growth,
    guarantees,
    history,
    ingest,
    limits,
    memory,
    reading,
    refresh,
    report,
    scaling,
    service,
    streams,
    troubles,
    workers,
)
from benchmarks.databases import COMPILED, EMBEDDED, EXTERNAL

SHOWN: dict[str, report.Shown] = {
    "generator": alone.generator_shown,
    "webhook": alone.webhook_shown,
    "ingest": ingest.ingest_shown,
    "spreads": ingest.spreads_shown,
    "workers": workers.shown,
    "hosts": ingest.hosts_shown,
    "guarantees": guarantees.shown,
    "service": service.told,
    "limits": limits.shown,
    "commits": commits.shown,
    "reading": reading.shown,
    "refresh": refresh.shown,
    "history": history.shown,
    "streams": streams.shown,
    "troubles": troubles.shown,
    "memory": memory.shown,
    "loads": constant.shown,
    "states": account_states.shown,
    "endurance": endured.shown,
    "growth": growth.shown,
    "scaling": scaling.shown,
}
"""How each benchmark shows what it has measured."""


def sections() -> Iterator[tuple[str, str]]:
    """Name and text of every section of docs/benchmarks.md that has measurements."""
    for name, shown in SHOWN.items():
        for kind in (EMBEDDED, COMPILED, EXTERNAL):
            place = report.place(name, kind)
            if text := report.shown_again(place, shown):
                yield place, text


def main() -> int:
    """Write both pages; measures nothing."""
    for place, text in sections():
        report.insert(report.PAGE, place, text)
    for place, text in scaling.sections(report.kept("scaling")).items():
        report.insert(scaling.PAGE, place, text)
    return 0
