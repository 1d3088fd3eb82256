"""The figures that stand in the page itself."""

from __future__ import annotations

import pytest

from dmstats.snapshot.build import Snapshot, build
from dmstats.web.pages.first_paint import Figure, figure_texts, is_empty
from tests.readings import readings_of

NOW_MS = 1_794_746_096_000  # 2026-11-15T12:34:56Z


@pytest.fixture
def snapshot() -> Snapshot:
    return build(readings_of(totals={"dmsSent": 1_234_567, "dmsReceived": 89}), NOW_MS)


def test_it_works(snapshot: Snapshot) -> None:
    texts = figure_texts(snapshot)
    assert texts["total.sent"] == Figure("1,234,567")
    assert texts["total.received"] == Figure("89")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (9_999_999, "9,999,999"),
        (10_000_000, "10.00M"),
        (12_349_999, "12.34M"),
        (684_497_484, "684.4M"),
        (999_999_999, "999.9M"),
        (1_000_000_000, "1.000B"),
        (123_456_789_012, "123.4B"),
        (2**53, "9007T"),
        (-12_345_678, "\u221212.34M"),
    ],
)
def test_long_numbers_are_cut_and_stand_exact_beside(number: int, text: str) -> None:
    figure = figure_texts({"totalDMsSent": number})["total.sent"]
    assert figure.text == text
    exact = f"{number:,}".replace("-", "\u2212")
    assert figure.exact == (None if text == exact else exact)


@pytest.mark.parametrize(("rate", "text"), [(0, "0"), (0.2, "0.2"), (9.8, "9.8"), (12.6, "13")])
def test_a_slow_rate_is_told_to_a_tenth(snapshot: Snapshot, rate: float, text: str) -> None:
    assert figure_texts({**snapshot, "perMinute": rate})["now.rate"] == Figure(text)


def test_another_releases_snapshot_shows_what_it_has() -> None:
    assert figure_texts({}) == {}
    assert not is_empty({})
    other = {"today": 7, "month": {"sent": 5}, "totalUsers": None, "perMinute": "fast"}
    assert figure_texts(other) == {"month.sent": Figure("5")}


@pytest.mark.parametrize("odd", [True, "12", [], {}, None, 1e300, float("inf"), float("nan")])
def test_what_is_no_number_is_left_out(odd: object) -> None:
    assert figure_texts({"totalDMsSent": odd, "today": {"sent": odd}, "perMinute": odd}) == {}


def test_only_what_never_counted_is_empty(snapshot: Snapshot) -> None:
    assert not is_empty(snapshot)
    nothing = {**snapshot, "totalDMsSent": 0, "totalDMsReceived": 0, "lastEventAt": None}
    assert is_empty(nothing)
    assert not is_empty({**nothing, "lastEventAt": "2026-11-26T05:00:00Z"})
