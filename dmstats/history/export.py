"""Exports a history as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from dmstats.core.time_zones import zone
from dmstats.history.calendar import DAY, MONTH, WEEK

COLUMNS = ("at", "local", "sent", "received", "partial")
COMPARED = ("compared_at", "compared_local", "compared_sent", "compared_received",
            "difference_sent", "difference_received")  # fmt: skip

Row = list[object]


def as_csv(history: Mapping[str, Any]) -> bytes:
    """All points of ``history`` as CSV in UTF-8 with a byte-order mark, which Excel requires.

    ``at`` is UTC and ``local`` local time. Each point's counterpart is in the same row; unmatched
    parts of the comparison come last, with ``at`` empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    compared = history["comparison"]
    writer.writerow((*COLUMNS, *(COMPARED if compared else ())))
    writer.writerows(_rows(history))
    return text.getvalue().encode("utf-8-sig")


def file_name(history: Mapping[str, Any], kind: str, account: str | None = None) -> str:
    """The name of the file of that ``kind`` ("csv" or "json"): dates, unit and comparison, the
    ``account`` if it is of one; for hours and minutes also the times."""
    start, end = (_local(history["range"][name], history) for name in ("from", "to"))
    if history["unit"] in (DAY, WEEK, MONTH):
        last = end - timedelta(seconds=1)
        span = f"{start:%Y-%m-%d}-to-{last:%Y-%m-%d}"
    else:
        span = f"{start:%Y-%m-%dT%H%M}-to-{end:%Y-%m-%dT%H%M}"
    compared = f"-vs-{history['compare']}" if history["comparison"] else ""
    of = f"-{re.sub(r'[^0-9A-Za-z_-]', '_', account)}" if account else ""
    return f"dmstats{of}-{span}-by-{history['unit']}{compared}.{kind}"


def _rows(history: Mapping[str, Any]) -> Iterator[Row]:
    compared = history["comparison"]
    if compared is None:
        for point in history["points"]:
            yield _point(point, history)
        return
    for point, before in zip_longest(history["points"], compared["points"]):
        yield [*_point(point, history), *_compared(before, history), *_difference(point, before)]
    for rest in compared["unmatched"]:
        yield [*[""] * len(COLUMNS), *_compared(rest, history), "", ""]


def _point(point: Mapping[str, Any], history: Mapping[str, Any]) -> Row:
    partial = "yes" if point.get("partial") else ""
    return [*_compared(point, history), partial]


def _compared(point: Mapping[str, Any] | None, history: Mapping[str, Any]) -> Row:
    if point is None:
        return ["", "", "", ""]
    local = _local(point["at"], history).isoformat(timespec="minutes")
    return [point["at"], local, point["sent"], point["received"]]


def _difference(point: Mapping[str, Any], before: Mapping[str, Any] | None) -> Row:
    if before is None:
        return ["", ""]
    return [point[name] - before[name] for name in ("sent", "received")]


def _local(at: str, history: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(at).astimezone(zone(history["tz"]))
