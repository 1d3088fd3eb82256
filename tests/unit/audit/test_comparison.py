"""Comparing counters with what the ledger says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from dmstats.audit.comparison import (
    GLOBAL_FIELDS,
    are_ours,
    base_of,
    compare,
    compare_account,
    compare_global,
    drift,
    expected_of_accounts,
    flat,
    minutes_add_up,
    unreadable,
)
from dmstats.commit.increments import merge
from dmstats.core.clock import to_datetime
from dmstats.core.records import KINDS, LedgerRow
from dmstats.db.audit.differences import Difference, Offset
from dmstats.db.audit.recount import FIELDS
from dmstats.db.documents import account

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
    found = compare_account("a", account(document | {"ledgerBase": BASE}), months, MONTH)
    assert {d.field: d.missing for d in found} == missing
    moved_on = document | {"ledgerBase": BASE | {"month": "2026-10"}, "monthlyDmUsed": 1}
    found = compare_account("a", account(moved_on), months, MONTH)
    assert "monthlyDmUsed" not in {d.field for d in found}


def test_an_account_that_nothing_was_counted_for() -> None:
    untouched = account({"dmUsed": 7})
    assert compare_account("a", untouched, {}, MONTH) == []
    assert compare_account("a", None, {}, MONTH) == []
    months = {"2026-10": (2, 0), MONTH: (1, 4)}
    found = compare_account("a", untouched, months, MONTH)
    assert {d.field: (d.counted, d.missing, d.why, d.offset) for d in found} == {
        "dmUsed": (7, 3, "replaced", -3), "dmReceived": (0, 4, "replaced", -4),
        "monthlyDmUsed": (0, 1, "replaced", -1),
    }  # fmt: skip
    assert {d.why for d in compare_account("a", None, months, MONTH)} == {"deleted"}


def known_of(found: list[Difference], month: str = MONTH) -> Offset:
    by_field = {d.field: d.offset for d in found}
    return Offset(
        by_field.get("dmUsed", 0),
        by_field.get("dmReceived", 0),
        month,
        by_field.get("monthlyDmUsed", 0),
    )


counters = st.integers(-50, 50)


@given(
    held=st.none() | st.fixed_dictionaries(
        {}, optional={"dmUsed": counters, "dmReceived": counters, "monthlyDmUsed": counters,
                      "currentMonth": st.sampled_from([MONTH, "2026-10", "odd"]),
                      "ledgerBase": st.just(BASE)},
    ),
    rows=st.dictionaries(st.sampled_from([MONTH, "2026-10"]), st.tuples(
        st.integers(0, 9), st.integers(0, 9))),
    more=st.integers(1, 9),
)  # fmt: skip
def test_what_was_explained_once_differs_no_more(
    held: dict[str, Any] | None, rows: dict[str, tuple[int, int]], more: int
) -> None:
    """Whatever the platform did; nor when the account is counted on, as the commit does it."""
    found = None if held is None else account(held)
    known = known_of(compare_account("a", found, rows, MONTH))
    assert compare_account("a", found, rows, MONTH, known) == []
    document: dict[str, Any] = dict(held or {})
    fresh = held is None
    base = {"sent": 0, "received": 0, "month": "", "monthSent": 0} if fresh else {
        "sent": document.get("dmUsed", 0), "received": document.get("dmReceived", 0),
        "month": document.get("currentMonth", ""), "monthSent": document.get("monthlyDmUsed", 0),
    }  # fmt: skip
    document.setdefault("ledgerBase", base)
    document["dmUsed"] = document.get("dmUsed", 0) + more
    moved = document.get("currentMonth") != MONTH
    document["monthlyDmUsed"] = more if moved else document.get("monthlyDmUsed", 0) + more
    document["currentMonth"] = MONTH
    sent, received = rows.get(MONTH, (0, 0))
    later = rows | {MONTH: (sent + more, received)}
    again = compare_account("a", account(document), later, MONTH, known)
    assert {d.field for d in again} <= {"monthlyDmUsed"}
    if not moved or fresh:
        assert again == []


def test_a_backlog_is_not_due_yet() -> None:
    held = account({"dmUsed": 12, "dmReceived": 6, "currentMonth": MONTH, "monthlyDmUsed": 4,
                    "ledgerBase": BASE})  # fmt: skip
    months = {MONTH: (5, 3), "2026-10": (1, 0)}
    assert compare_account("a", held, months, MONTH)
    backlog = Offset(4, 2, MONTH, 4)
    assert compare_account("a", held, months, MONTH, backlog=backlog) == []


@pytest.mark.parametrize("odd", [True, "12", None, {}, float("nan"), -0.5, Decimal128("1.5")])
def test_a_counter_that_cannot_be_read_is_not_compared(odd: object) -> None:
    document = {"dmUsed": odd, "dmReceived": 5, "ledgerBase": BASE}
    fields = {d.field for d in compare_account("a", account(document), {MONTH: (9, 0)}, MONTH)}
    assert fields == (set() if odd is not None else {"dmUsed"})
    base = account({"dmUsed": 7, "ledgerBase": odd})
    assert compare_account("a", base, {MONTH: (9, 0)}, MONTH) == []
    mended = base_of(base, {MONTH: (9, 0)}, MONTH, Offset(), Offset())
    assert (mended.sent, mended.received) == (-2, 0)


def test_counters_that_are_decimals_are_counted_on() -> None:
    held = {"dmUsed": Decimal128("13"), "ledgerBase": BASE | {"sent": Decimal128("12")}}
    assert compare_account("a", account(held | {"dmReceived": 5}), {"": (1, 0)}, MONTH) == []


def test_differences_of_accounts_are_ours_if_the_hours_lack_the_same() -> None:
    hours = [Difference("hours", "0", "sent", 1, 3)]
    accounts = [
        Difference("accounts", "a", "dmUsed", 0, 1),
        Difference("accounts", "b", "dmUsed", 0, 1),
    ]
    assert are_ours(accounts, hours)
    assert not are_ours(accounts, [])
    assert not are_ours(accounts[:1], hours)
    assert not are_ours([], [])
    assert not are_ours([*accounts, Difference("accounts", "c", "dmReceived", 0, 1)], hours)


def test_a_counter_of_ours_that_is_no_number_always_differs() -> None:
    hour = {"sent": "x", "received": None, "events": {"seen": 1.5}, "minutes": {"5": "x"}}
    odd = unreadable(hour, "sent", "received", "events")
    found = compare("hours", 0, flat(hour), {"sent": 2}, odd)
    assert {d.field: (d.expected, d.unreadable) for d in found} == {
        "sent": (2, True), "received": (0, True), "events.seen": (0, True)
    }  # fmt: skip
    groups = unreadable({"events": "x"}, "events")
    (first,) = compare("hours", 0, flat({"events": "x"}), {"events.seen": 1}, groups)
    assert first.field == "events", "what belongs into it comes when it is there"
    assert unreadable(hour, "minutes") == {"minutes.5": "group"}
    assert not minutes_add_up(hour)


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
