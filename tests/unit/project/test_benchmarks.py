"""The benchmarks' pure parts: fits, percentiles, and what is written where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import deliveries, growth, report, scaling, tables
from benchmarks.databases import COMPILED, EMBEDDED
from benchmarks.endured import Found, Sample, told
from benchmarks.fit import exponent, in_words, non_negative, slope
from benchmarks.harness import Figures, interleave, number, percentile, spread
from benchmarks.report import Result, insert, place, write


@pytest.mark.parametrize(
    ("power", "words"),
    [(0.0, "constant"), (1.0, "linear"), (0.5, "less than linear"), (2.0, "more than linear")],
)
def test_the_exponent_of_a_power(power: float, words: str) -> None:
    work = [1.0, 10.0, 100.0, 1000.0]
    found = exponent(work, [3.0 * each**power for each in work])
    assert found == pytest.approx(power, abs=1e-9)
    assert in_words(found) == words


def test_an_exponent_needs_two_amounts_of_work() -> None:
    with pytest.raises(ValueError, match="two"):
        exponent([5, 5], [1, 2])
    assert "shares" in in_words(-0.5)


def test_no_coefficient_is_below_zero() -> None:
    rows = [[1.0, x] for x in (1.0, 2.0, 4.0)]
    assert non_negative(rows, [3.0, 5.0, 9.0]) == pytest.approx([1.0, 2.0])
    # A plain fit of these would start below zero.
    start, rise = non_negative(rows, [1.0, 3.0, 7.0])
    assert start == 0.0
    assert rise > 0


def test_slope() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2.0)
    assert slope([(0, 1)]) == 0.0


def test_percentiles_and_numbers() -> None:
    assert percentile([], 0.5) == 0.0
    thousand = [float(n) for n in range(1, 1001)]
    assert percentile(thousand, 0.999) == 999.0
    assert percentile(thousand, 1.0) == 1000.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([7.0], 0.01) == 7.0
    assert [number(n) for n in (12345.6, 12.34, 1.5, 0.0)] == ["12,346", "12.3", "1.5", "0"]
    assert spread([{"a": 1.0}, {"a": 3.0}, {"a": 2.0}], "a") == "2 (1-3)"


def test_a_contestant_that_fails_does_not_stop_the_others(capsys: Any) -> None:
    def broken() -> Figures:
        raise RuntimeError("no such server")

    turns: list[str] = []

    def sound() -> Figures:
        turns.append("x")
        return {"DMs/s": 1.0}

    results = interleave({"broken": broken, "sound": sound}, 3)
    assert results == {"sound": [{"DMs/s": 1.0}] * 3}
    assert len(turns) == 3
    assert capsys.readouterr().out.count("FAILED") == 1


def test_a_result_is_kept_and_put_between_its_markers(tmp_path: Path, capsys: Any) -> None:
    page, folder = tmp_path / "page.md", tmp_path / "raw"
    page.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nafter\n")
    for text in ("first", r"second \1"):
        write("a", Result(text, {"x": 1}), "a machine", quick=True, page=page, folder=folder)
    assert page.read_text() == (
        "before\n<!-- begin a -->\nsecond \\1\n\n*a machine · quick run*\n<!-- end a -->\nafter\n"
    )
    assert report.kept("a", folder=folder) == {"x": 1}
    assert json.loads((folder / "a.json").read_text())["quick"] is True
    assert not insert(page, "b", "text")
    write("b", Result("text", 2), "a machine", quick=False, page=page, folder=folder)
    assert "no markers for b" in capsys.readouterr().out
    assert report.kept("b", folder=folder) == 2
    assert report.kept("c", folder=folder) is None


def test_figures_of_other_databases_stand_beside_the_embedded_ones() -> None:
    assert place("ingest", EMBEDDED) == "ingest"
    assert place("ingest", COMPILED) == "ingest-compiled"


def test_every_benchmark_has_its_place_in_the_documents() -> None:
    from benchmarks.__main__ import ALL, DERIVED, Where

    page = report.PAGE.read_text()
    places = [*DERIVED, "endurance", "endurance-compiled"]
    for name, part in ALL.items():
        places += [name] if part.where is Where.EMBEDDED else [name, place(name, COMPILED)]
    assert [each for each in places if f"<!-- begin {each} -->" not in page] == []
    plans = scaling.PAGE.read_text()
    assert all(f"<!-- begin {each} -->" in plans for each in ("costs", "plans"))


def test_deliveries_are_signed_unique_and_skewed() -> None:
    requests = deliveries.requests(200, dms=1, accounts=1000, skew=0.5)
    assert len(set(requests)) == 200
    assert all(b"X-Hub-Signature-256: sha256=" in request for request in requests)
    favourite = sum(b'"id":"17841400000000000","time"' in request for request in requests)
    assert 70 < favourite < 130


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a run on the compiled database leaves, made up: 100 µs a DM, 10 ms a commit."""

    def runs(**figures: float) -> list[Figures]:
        return [figures, figures]

    def shape(dms: int, flying: int) -> list[Figures]:
        batch = min(2_000, flying * dms)
        rate = batch / (0.010 + 100e-6 * batch)
        return runs(
            **{
                "DMs/s": rate, "app µs/POST": 400.0 + 20 * dms, "app µs/DM": 400 / dms + 20,
                "database µs/DM": 50.0 + 100 / dms, "bytes/DM": 900.0,
            }
        )  # fmt: skip

    made: dict[str, Any] = {
        "ingest": {str(dms): {"dmstats": shape(dms, 64)} for dms in (1, 20)},
        "service": {
            str(dms): {str(n): shape(dms, n) for n in (1, 4, 16, 64, 128)} for dms in (1, 20)
        },
        "commits": {f"{n} of {dms}": shape(dms, n) for n, dms in ((64, 1), (64, 20), (16, 100))},
        "refresh": {
            "accounts": {
                str(n): {"refresh": runs(**{"p50 ms": 5.0}), "aggregation": runs(**{"p50 ms": n})}
                for n in (1000, 10_000)
            }
        },
    }
    for name, raw in made.items():
        (tmp_path / f"{name}-compiled.json").write_text(json.dumps({"measured": raw}))
    embedded = {
        "reading": {"polls": {"0": runs(**{"CPU µs": 500.0})}},
        "streams": {
            str(n): {"dmstats": runs(**{"CPU µs per client": 20.0, "last client p50 ms": n / 50})}
            for n in (100, 1000)
        },
    }
    for name, raw in embedded.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"measured": raw}))
    for module in (growth, scaling):
        monkeypatch.setattr(module, "RAW", tmp_path)
    return tmp_path


def test_growth_is_fitted_to_what_was_kept(kept: Path) -> None:
    found = {
        (row["cost"], row["work"]): row["exponent"] for row in growth.growth().raw
    }  # fmt: skip
    assert found["ms of a refresh, compiled database", "accounts"] == pytest.approx(0, abs=0.01)
    assert found["ms of an aggregation, compiled database", "accounts"] == pytest.approx(1)
    assert found["ms to the last client, dmstats", "streams"] == pytest.approx(1)
    assert (kept / "growth.png").stat().st_size > 10_000


def test_plans_are_made_of_what_was_kept(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = kept / "scaling.md"
    page.write_text("".join(f"<!-- begin {n} --><!-- end {n} -->\n" for n in ("costs", "plans")))
    monkeypatch.setattr(scaling, "PAGE", page)
    costs = scaling.costs_of(kept, COMPILED)
    assert costs.app_post == pytest.approx(400e-6)
    assert costs.app_dm == pytest.approx(20e-6)
    assert costs.database_dm == pytest.approx(50e-6)
    assert costs.commit.base == pytest.approx(0.010)
    result = scaling.scaling()
    assert all(row[-1] == "1" for row in result.raw["check"])
    text = page.read_text()
    assert "measured on the compiled database" in text
    assert "| 1 G | 20 |" in text


def test_without_measurements_the_needed_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "RAW", tmp_path)
    with pytest.raises(RuntimeError, match="service"):
        scaling.scaling()


def test_an_endurance_run_is_told_with_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.endured.RAW", tmp_path)
    samples = [
        Sample(10.0 * n, 1 + n // 20, 100 * n, 5.0, 9.0, 60.0, 200.0, 8.0) for n in range(40)
    ]
    found = Found(
        hours=0.1, rate=1667, workers=2, sent=1200, settled=True, refused={"503": 3},
        counted="1,200 DMs, the same in ledger, accounts", restarts=[200.0], samples=samples,
    )  # fmt: skip
    text = told(found, EMBEDDED)
    assert "1 restarts" in text
    assert ": exact." in text
    assert "within the longest life +0.0 an hour" in text
    assert (tmp_path / "endurance.png").exists()
    found.sent = 1201
    assert "NOT EXACT" in told(found, EMBEDDED)


def test_the_pages_agree_with_the_stored_measurements() -> None:
    page, plans = report.PAGE.read_text(), scaling.PAGE.read_text()
    told = dict(tables.sections())
    assert {"ingest", "ingest-compiled", "growth", "scaling"} <= told.keys()
    run = "run `python -m benchmarks tables`"
    for name, text in told.items():
        assert f"<!-- begin {name} -->\n{text}\n<!-- end {name} -->" in page, run
    for name, text in scaling.sections(report.kept("scaling")).items():
        assert f"<!-- begin {name} -->\n{text}\n<!-- end {name} -->" in plans, run
