"""The figures that stand in the page itself."""

from __future__ import annotations

import pytest
from babel import Locale

from dmstats.snapshot.build import Snapshot, build
from dmstats.web.pages.first_paint import first_figures, is_empty, locale_of
from tests.readings import readings_of

NOW_MS = 1_794_746_096_000  # 2026-11-15T12:34:56Z


@pytest.fixture
def snapshot() -> Snapshot:
    return build(readings_of(totals={"dmsSent": 1_234_567, "dmsReceived": 89}), NOW_MS)


def test_it_works(snapshot: Snapshot) -> None:
    texts = first_figures(snapshot, Locale("en"))
    assert texts["total.sent"] == "1,234,567"
    assert texts["total.received"] == "89"


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("de", "1.234.567"),
        ("en-IN", "12,34,567"),
        ("fr-FR", "1\u202f234\u202f567"),
        ("de-CH", "1\u2019234\u2019567"),
    ],
)
def test_digits_are_grouped_as_the_reader_groups_them(
    snapshot: Snapshot, tag: str, text: str
) -> None:
    assert first_figures(snapshot, locale_of([tag]))["total.sent"] == text


@pytest.mark.parametrize(("rate", "text"), [(0, "0"), (0.2, "0.2"), (9.8, "9.8"), (12.6, "13")])
def test_a_slow_rate_is_told_to_a_tenth(snapshot: Snapshot, rate: float, text: str) -> None:
    assert first_figures({**snapshot, "perMinute": rate}, Locale("en"))["now.rate"] == text


def test_unknown_languages_are_passed_over() -> None:
    assert locale_of(["xx-YY", "*", "../../etc", "", "i-klingon", "de-AT"]) == Locale("de", "AT")
    assert locale_of([]) == Locale("en")


def test_another_releases_snapshot_shows_what_it_has() -> None:
    assert first_figures({}, Locale("en")) == {}
    assert not is_empty({})
    other = {"today": 7, "month": {"sent": 5}, "totalUsers": None, "perMinute": "fast"}
    assert first_figures(other, Locale("en")) == {"month.sent": "5"}


def test_only_what_never_counted_is_empty(snapshot: Snapshot) -> None:
    assert not is_empty(snapshot)
    nothing = {**snapshot, "totalDMsSent": 0, "totalDMsReceived": 0, "lastEventAt": None}
    assert is_empty(nothing)
    assert not is_empty({**nothing, "lastEventAt": "2026-11-26T05:00:00Z"})
