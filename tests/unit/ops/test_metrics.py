"""The metrics: what the hooks report is what Prometheus reads, under names as it wants them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from dmstats.core.records import KINDS
from dmstats.ops.metrics import Metrics


def families(metrics: Metrics) -> list[Metric]:
    return list(metrics.registry.collect())


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_it_works() -> None:
    metrics = Metrics()
    metrics.batch_committed(3, 0.01)
    metrics.events_counted({"sent": 2, "seen": 1}, duplicates=4, rejected=5)
    metrics.delivery(418, 0.1)
    assert value(metrics, "dmstats_webhook_events_total", outcome="counted") == 3
    assert value(metrics, "dmstats_webhook_events_total", outcome="duplicate") == 4
    assert value(metrics, "dmstats_webhook_events_total", outcome="rejected") == 5
    assert value(metrics, "dmstats_events_counted_total", kind="sent") == 2
    assert value(metrics, "dmstats_webhook_delivery_seconds_count", status="418") == 1
    assert b"dmstats_commit_seconds_bucket" in metrics.exposition()


def test_a_kind_that_never_came_is_zero_and_not_missing() -> None:
    metrics = Metrics()
    assert [value(metrics, "dmstats_events_counted_total", kind=kind) for kind in KINDS] == [
        0.0
    ] * len(KINDS)


@pytest.mark.parametrize("audit", [None, (1_700_000_000_000, 0), (1_700_000_000_000, -3)])
def test_the_newest_figures_tell_their_age_and_the_last_audit(
    audit: tuple[int, int] | None,
) -> None:
    metrics = Metrics()
    metrics.figures_adopted(1_700_000_060_500, audit)
    name = "dmstats_snapshot_computed_timestamp_seconds"
    assert value(metrics, name) == 1_700_000_060.5
    assert value(metrics, "dmstats_audit_drift") == (audit[1] if audit else 0)
    assert value(metrics, "dmstats_audit_timestamp_seconds") == (1_700_000_000 if audit else 0)


def test_names_follow_the_conventions() -> None:
    for family in families(Metrics()):
        assert family.name.startswith("dmstats_")
        assert family.documentation.endswith(".")
        if family.type == "histogram":
            assert family.name.endswith(("_seconds", "_events"))
        elif family.type == "counter":
            assert not family.name.endswith("_total")  # the samples do; the family must not


def test_an_unusable_folder_leaves_the_metrics_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    for unusable in (tmp_path / "file", tmp_path / "file" / "folder"):
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(unusable))
        assert b"dmstats_commit_seconds_bucket" in Metrics().exposition()
