"""Merging events into increments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmstats.commit.increments import merge
from dmstats.core.clock import DAY_MS, HOUR_MS
from dmstats.core.records import KINDS, RECEIVED, SENT, LedgerRow

JULY = 1_782_864_000_000  # 2026-07-01T00:00:00Z


def row(kind: str, time_ms: int, account: str = "a", *, late: bool = False) -> LedgerRow:
    return LedgerRow(b"", "", account, kind, time_ms, time_ms, late)


def test_it_works() -> None:
    deltas = merge(
        [row(SENT, JULY + 61_000), row(RECEIVED, JULY + 62_000)], duplicates=3, rejected=1
    )
    assert deltas.hours == {
        JULY: {"sent": 1, "received": 1, "minutes.1.sent": 1, "minutes.1.received": 1}
    }
    assert deltas.days == {JULY: {"sent": 1, "received": 1}}
    assert deltas.totals == {"dmsSent": 1, "dmsReceived": 1, "duplicates": 3, "rejected": 1}
    assert deltas.last_event_ms == JULY + 62_000
    account = deltas.accounts["a"]
    assert (account.sent, account.received, account.month, account.month_sent) == (
        1,
        1,
        "2026-07",
        1,
    )


def test_a_month_holds_only_its_own_events() -> None:
    rows = [row(SENT, JULY - 1), row(SENT, JULY), row(SENT, JULY - 2), row(SENT, JULY + 5)]
    account = merge(rows).accounts["a"]
    assert (account.sent, account.month, account.month_sent) == (4, "2026-07", 2)
    assert account.last_sent_ms == JULY + 5


def test_other_events_touch_no_account_and_no_day() -> None:
    unknown = LedgerRow(b"", "", "a", "unknown", JULY, JULY, late=True, name="optin")
    deltas = merge([row("reaction", JULY), unknown])
    assert (deltas.accounts, deltas.days) == ({}, {})
    assert deltas.hours == {JULY: {"events.reaction": 1, "events.unknown": 1}}
    assert deltas.totals == {
        "events.reaction": 1, "events.unknown": 1, "unknown.optin": 1, "late": 1
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.integers(JULY - 2 * DAY_MS, JULY + 2 * DAY_MS),
            st.sampled_from("abc"),
        )
    )
)
def test_every_sum_agrees(events: list[tuple[str, int, str]]) -> None:
    deltas = merge([row(kind, time, account) for kind, time, account in events])
    for kind, total in ((SENT, "dmsSent"), (RECEIVED, "dmsReceived")):
        expected = sum(1 for event in events if event[0] == kind)
        assert deltas.totals.get(total, 0) == expected
        assert sum(hour.get(kind, 0) for hour in deltas.hours.values()) == expected
        assert sum(day.get(kind, 0) for day in deltas.days.values()) == expected
        assert sum(getattr(account, kind) for account in deltas.accounts.values()) == expected
        minutes = sum(
            n for hour in deltas.hours.values() for field, n in hour.items()
            if field.startswith("minutes.") and field.endswith(kind)
        )  # fmt: skip
        assert minutes == expected
    assert all(start % HOUR_MS == 0 for start in deltas.hours)
