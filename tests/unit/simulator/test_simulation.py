"""Simulated traffic: accounts that are plainly made up, and when a run counts as exact."""

from __future__ import annotations

import pytest

from dmstats.core.clock import DAY_MS
from dmstats.core.records import SIMULATED, SIMULATED_RANGE
from dmstats.db.counting.reconciliation import PlaceSums
from dmstats.ingest.events import read_events
from dmstats.simulator.bodies import Traffic
from dmstats.simulator.delivery_sender import Report
from dmstats.simulator.simulation import Result

NOW_MS = 1_795_000_000_000


def traffic(run: str | None = None) -> Traffic:
    return Traffic(seed=3, accounts=5, duplicates=0.1, batch=(1, 20), run=run)


def test_it_works() -> None:
    """Every event is read, and none could be a real account's: Meta's ids are numbers."""
    made = traffic("0123456789abcdef")
    seen = set()
    for _ in range(50):
        body = made.delivery(NOW_MS).body
        reading = read_events(body, arrived_ms=NOW_MS, max_age_ms=DAY_MS)
        assert reading.rejected == 0
        seen |= {row.account for row in reading.rows}
    assert seen == {f"simulated-01234567-0000{n}" for n in range(1, 6)}
    low, high = SIMULATED_RANGE["$gte"], SIMULATED_RANGE["$lt"]
    assert all(low <= account < high and not account.isdecimal() for account in seen)


@pytest.mark.parametrize("account", ["17841400000000001", "simulated", "simulatee-1", "~", "a", ""])
def test_no_other_account_is_in_the_range(account: str) -> None:
    assert not SIMULATED_RANGE["$gte"] <= account < SIMULATED_RANGE["$lt"]
    assert not account.startswith(SIMULATED)


def test_the_seed_repeats_the_choices_and_the_run_tells_them_apart() -> None:
    one, again, other = traffic("a" * 16), traffic("a" * 16), traffic("b" * 16)
    body = one.delivery(NOW_MS).body
    assert again.delivery(NOW_MS).body == body
    assert other.delivery(NOW_MS).body == body.replace(b"a" * 16, b"b" * 16).replace(
        b"simulated-aaaaaaaa", b"simulated-bbbbbbbb"
    )


SENT = PlaceSums(10, 5)


@pytest.mark.parametrize(
    ("place", "counted", "elsewhere", "agrees"),
    [
        ("ledger", SENT, (0, 0), True),
        ("ledger", PlaceSums(11, 5), (1, 0), False),
        ("accounts", PlaceSums(9, 5), (0, 0), False),
        ("hours", SENT, (0, 0), True),
        ("hours", PlaceSums(11, 5), (0, 0), False),
        ("hours", PlaceSums(12, 9), (2, 4), True),
        ("global", PlaceSums(13, 4), (4, 0), False),
    ],
)
def test_other_traffic_is_told_apart(
    place: str, counted: PlaceSums, elsewhere: tuple[int, int], agrees: bool
) -> None:
    result = Result(
        run="a", sent=SENT, repeated=0, report=Report(acknowledged=1), counted={place: counted},
        elsewhere=elsewhere, seconds=1.0, interrupted=False,
    )  # fmt: skip
    assert result.agrees(place) is agrees
    assert result.exact is agrees


def test_what_was_given_up_is_not_exact() -> None:
    result = Result(
        run="a", sent=SENT, repeated=0, report=Report(given_up=1), counted={"ledger": SENT},
        elsewhere=(0, 0), seconds=1.0, interrupted=False,
    )  # fmt: skip
    assert not result.exact
