"""When the watchdog reports an incident, from recorded deliveries alone."""

from __future__ import annotations

import pytest

from dmstats.ops.delivery_log import Record, merge_records
from dmstats.ops.incidents import drifted, failing, silent

MINUTE = 60_000
NOW = 1_000 * MINUTE


def minutes_ago(minutes: int) -> int:
    return NOW - minutes * MINUTE


def failed_since(minutes: int) -> Record:
    return Record(minutes_ago(minutes + 1), minutes_ago(0), minutes_ago(minutes))


def test_it_works() -> None:
    incident = failing(failed_since(20), NOW)
    assert incident is not None
    assert "for 20 minutes" in incident.text
    assert "disable the webhook in 40 minutes" in incident.text


@pytest.mark.parametrize(
    ("record", "reported"),
    [
        (Record(), False),
        (Record(NOW, minutes_ago(1), 0), False),
        (failed_since(4), False),
        (failed_since(5), True),
        (Record(0, minutes_ago(11), minutes_ago(30)), False),  # nothing fails any more
        (failed_since(90), True),
    ],
)
def test_failing_deliveries(record: Record, reported: bool) -> None:
    assert (failing(record, NOW) is not None) is reported


def test_after_the_hour_it_says_where_to_look() -> None:
    incident = failing(failed_since(75), NOW)
    assert incident is not None
    assert "subscribe again" in incident.text


@pytest.mark.parametrize(
    ("dms", "usual", "reported"),
    [
        (0, [100, 90, 110, 80], True),
        (1, [100, 90, 110, 80], False),
        (0, [0, 0, 0, 0], False),  # it is always quiet then
        (0, [1000, 0, 0, 0], False),  # one week is no pattern
        (0, [1000, 1000, 0, 0], True),
        (0, [5, 4, 6, 5], False),  # too little to tell
        (0, [], False),
    ],
)
def test_silence_is_judged_against_the_last_weeks(
    dms: int, usual: list[int], reported: bool
) -> None:
    assert (silent(dms, usual) is not None) is reported


def test_any_drift_is_an_incident() -> None:
    assert drifted(0) is None
    assert drifted(-2) is not None


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], Record()),
        ([Record(5, 0, 0), Record(3, 0, 0)], Record(5, 0, 0)),
        # Another worker acknowledged later: it is not all of us that fail.
        ([Record(1, 4, 2), Record(9, 0, 0)], Record(9, 4, 0)),
        # It failed after the other's last success: since then no worker acknowledged anything.
        ([Record(1, 9, 2), Record(5, 0, 0)], Record(5, 9, 5)),
        ([Record(1, 9, 6), Record(5, 8, 7)], Record(5, 9, 6)),
    ],
)
def test_all_workers_records_in_one(records: list[Record], expected: Record) -> None:
    assert merge_records(records) == expected
