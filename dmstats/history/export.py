"""Exports a history as CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import repeat, zip_longest
from typing import Any

from dmstats.core.spreadsheet_text import spreadsheet_text
from dmstats.core.time_zones import zone
from dmstats.history.calendar import DAY, MONTH, WEEK

COLUMNS = ("at", "local", "sent", "received", "partial")
COMPARED = ("compared_at", "compared_local", "compared_sent", "compared_received",
            "difference_sent", "difference_received")  # fmt: skip

EXPECTED = tuple(
    f"expected_{name}{suffix}"
    for name in ("sent", "received") for suffix in ("", "_low", "_high", "_outside")
)  # fmt: skip

Row = list[object]


def as_csv(history: Mapping[str, Any]) -> bytes:
    """All points of ``history`` as CSV in UTF-8 with a byte-order mark, which Excel requires.

    ``at`` is UTC and ``local`` local time. Each point's counterpart is in the same row; unmatched
    parts of the comparison come last, with ``at`` empty. With a band, the expected range is at the
    end of the row. Annotations, if any, are in the rows of their points.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    compared = history["comparison"]
    expected = EXPECTED if history["band"] else ()
    notes = _notes(history)
    more = ("annotations",) if notes is not None else ()
    writer.writerow((*COLUMNS, *(COMPARED if compared else ()), *expected, *more))
    for row, note in zip_longest(_rows(history), notes or (), fillvalue=""):
        writer.writerow([*row, note] if more else row)
    return text.getvalue().encode("utf-8-sig")


def _notes(history: Mapping[str, Any]) -> list[str] | None:
    """The annotations of each point as text; None if not requested."""
    if "annotations" not in history:
        return None
    # Times in the same format and length sort correctly as text.
    starts = [point["at"] for point in history["points"]]
    found: list[list[str]] = [[] for _ in starts]
    for each in history["annotations"]:
        found[max(0, bisect_right(starts, each["at"]) - 1)].append(each["text"])
    return [spreadsheet_text("; ".join(texts)) for texts in found]


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
    points, band = history["points"], history["band"]
    expected = map(_expected, band["points"]) if band else repeat([], len(points))
    if compared is None:
        for point, usual in zip(points, expected, strict=True):
            yield [*_point(point, history), *usual]
        return
    for point, before, usual in zip(points, compared["points"], expected, strict=True):
        difference = _difference(point, before)
        yield [*_point(point, history), *_compared(before, history), *difference, *usual]
    blank = [""] * len(EXPECTED) if band else []
    for rest in compared["unmatched"]:
        yield [*[""] * len(COLUMNS), *_compared(rest, history), "", "", *blank]


def _expected(usual: Mapping[str, Any] | None) -> Row:
    if usual is None:
        return [""] * len(EXPECTED)
    return [
        "" if (value := usual[name][key]) is None else value
        for name in ("sent", "received")
        for key in ("median", "low", "high", "outside")
    ]


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
