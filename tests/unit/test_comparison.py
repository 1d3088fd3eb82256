"""Comparing counters with what the ledger says."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmstats.audit.comparison import (
    GLOBAL_FIELDS,
    compare,
    compare_account,
    compare_global,
    drift,
    expected_of_accounts,
    flat,
    minutes_add_up,
)
from dmstats.commit.increments import merge
from dmstats.core.clock import to_datetime
from dmstats.core.records import KINDS, LedgerRow
from dmstats.db.audit.differences import Difference
from dmstats.db.audit.recount import FIELDS

NOVEMBER = 1_794_700_800_000
MONTH = "2026-11"
BASE = {"sent": 10, "received": 5, "month": MONTH, "monthSent": 3}
counts = st.dictionaries(st.sampled_from([*FIELDS.values()]), st.integers(0, 9))


def test_it_works() -> None:
    (difference,) = compare("days", 5, {"sent": 1, "received": 2}, {"sent": 4, "received": 2})
    assert difference == Difference("days", "5", "sent", 1, 4)
    assert difference.missing == 3


@given(counts, counts)
def test_adding_what_is_missing_makes_both_the_same(
    counted: dict[str, int], expected: dict[str, int]
) -> None:
    mended = Counter(counted)
    for difference in compare("hours", 0, counted, expected):
        assert difference.missing
        mended[difference.field] += difference.missing
    assert mended == Counter(expected)
    assert compare("hours", 0, mended, expected) == []


def test_a_document_is_flattened_without_what_is_no_counter() -> None:
    hour = {
        "_id": to_datetime(0), "sent": 2, "minutes": {"5": {"sent": 2}}, "events": {"seen": 1},
        "isActive": True, "received": 3.0,
    }  # fmt: skip
    assert flat(hour) == {"sent": 2, "received": 3, "events.seen": 1}
    assert flat(hour, only="minutes") == {"minutes.5.sent": 2}
    assert minutes_add_up(hour | {"received": 0})
    assert not minutes_add_up(hour)
    assert not minutes_add_up({"minutes": {"5": {"received": 1}}})


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 10**7)), max_size=30))
def test_totals_are_compared_under_their_own_names(events: list[tuple[str, int]]) -> None:
    rows = [LedgerRow(b"", "", "a", kind, NOVEMBER + ms, 0) for kind, ms in events]
    deltas = merge(rows, duplicates=3, rejected=2)
    expected = Counter(FIELDS[row.kind] for row in rows)
    document: dict[str, object] = {"events": {}}
    for field, n in deltas.totals.items():
        name, _, kind = field.partition(".")
        if kind:
            document.setdefault(name, {})[kind] = n  # type: ignore[index]
        else:
            document[name] = n
    assert compare_global(document, expected) == []
    for row in rows[:1]:
        field = GLOBAL_FIELDS[FIELDS[row.kind]]
        found = compare_global(document, expected + Counter([FIELDS[row.kind]]))
        assert [(d.field, d.missing) for d in found] == [(field, 1)]


def test_each_hour_counts_every_kind() -> None:
    rows = [LedgerRow(b"", "", "a", kind, NOVEMBER, 0) for kind in KINDS]
    (hour,) = merge(rows).hours.values()
    assert {f: n for f, n in hour.items() if "minutes" not in f} == dict.fromkeys(
        FIELDS.values(), 1
    )


@pytest.mark.parametrize(
    ("document", "missing"),
    [
        ({"dmUsed": 12, "dmReceived": 6, "currentMonth": MONTH, "monthlyDmUsed": 4}, {}),
        ({"dmUsed": 11, "dmReceived": 6, "currentMonth": MONTH, "monthlyDmUsed": 4}, {"dmUsed": 1}),
        (
            {"dmUsed": 12, "currentMonth": MONTH, "monthlyDmUsed": 5},
            {"dmReceived": 6, "monthlyDmUsed": -1},
        ),
        ({"dmUsed": 12, "dmReceived": 6, "currentMonth": "2026-10", "monthlyDmUsed": 99}, {}),
    ],
)
def test_an_account_keeps_what_it_brought_along(
    document: dict[str, object], missing: dict[str, int]
) -> None:
    months = {"2026-10": (1, 0), MONTH: (1, 1)}
    found = compare_account("a", document | {"ledgerBase": BASE}, months, MONTH)
    assert {d.field: d.missing for d in found} == missing
    moved_on = document | {"ledgerBase": BASE | {"month": "2026-10"}, "monthlyDmUsed": 1}
    found = compare_account("a", moved_on, months, MONTH)
    assert "monthlyDmUsed" not in {d.field for d in found}


def test_an_account_that_nothing_was_counted_for() -> None:
    assert compare_account("a", {"dmUsed": 7}, {}, MONTH) == []
    assert compare_account("a", None, {}, MONTH) == []
    found = compare_account("a", {"dmUsed": 7}, {"2026-10": (2, 0), MONTH: (1, 4)}, MONTH)
    assert all(d.uncounted and d.month == MONTH for d in found)
    assert {d.field: (d.counted, d.missing) for d in found} == {
        "dmUsed": (7, 3), "dmReceived": (0, 4), "monthlyDmUsed": (0, 1)
    }  # fmt: skip


def test_the_archive_is_added_month_by_month() -> None:
    archived = {"a": {"sent": 5, "received": 2, "months": {"2026-10": 4, MONTH: 1}}, "b": {}}
    expected = expected_of_accounts({("a", MONTH): (1, 1), ("c", MONTH): (0, 1)}, archived)
    assert expected["a"] == {"2026-10": (4, 0), MONTH: (2, 1), "": (0, 2)}
    assert (expected["b"], expected["c"]) == ({"": (0, 0)}, {MONTH: (0, 1)})


def test_an_event_missing_everywhere_is_one_of_drift() -> None:
    everywhere = [
        Difference("hours", "0", "sent", 0, 1), Difference("days", "0", "sent", 0, 1),
        Difference("accounts", "a", "dmUsed", 0, 1), Difference("global", "", "dmsSent", 0, 1),
    ]  # fmt: skip
    assert drift([]) == 0
    assert drift(everywhere) == 1
    assert drift([*everywhere, Difference("accounts", "b", "dmUsed", 3, 1)]) == 3
    assert set(KINDS) == {f.removeprefix("events.") for f in GLOBAL_FIELDS}
