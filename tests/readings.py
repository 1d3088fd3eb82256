"""Readings made of documents, parsed as the store parses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dmstats.db import documents
from dmstats.db.dashboard.readings import Readings


def readings_of(
    *,
    totals: Mapping[str, Any] | None = None,
    hours: Mapping[int, Mapping[str, Any]] | None = None,
    days: Mapping[int, Mapping[str, Any]] | None = None,
    top: Iterable[Mapping[str, Any]] = (),
    audit: object = None,
    canary: object = None,
    **counts: Any,
) -> Readings:
    """What a refresh would read of these documents."""
    return Readings(
        totals=documents.totals(totals or {}),
        hours={at: documents.hour(found) for at, found in (hours or {}).items()},
        days={at: documents.bucket(found) for at, found in (days or {}).items()},
        top=[documents.account(found) for found in top],
        audit=documents.audit_result(audit),
        canary=documents.canary_stages(canary),
        **counts,
    )
