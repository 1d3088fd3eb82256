"""Alert rules, dashboard and runbooks: about metrics that exist, in a language that parses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from docs.metrics import series

ROOT = Path(__file__).parents[3]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/dmstats.json").read_text())[
    "panels"
]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
METRIC = re.compile(r"dmstats_\w+")


def test_it_works() -> None:
    assert len(RULES) >= 10
    assert len(QUERIES) >= 15
    assert "dmstats_streams" in series()
    with pytest.raises(ValueError, match=r".+"):
        promql_parser.parse("sum(rate(x[5m])")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_rule_is_about_metrics_that_exist_and_has_a_runbook(rule: dict[str, Any]) -> None:
    promql_parser.parse(rule["expr"])
    names = METRIC.findall(rule["expr"])
    assert names
    assert set(names) <= series()
    assert rule["labels"]["severity"] in ("page", "warning")
    assert rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in (ROOT / page).read_text()


def test_every_runbook_has_its_rule() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    titles = re.findall(r"^### (Dmstats\w+)$", text, re.MULTILINE)
    assert sorted(titles) == sorted(rule["alert"] for rule in RULES)


@pytest.mark.parametrize("query", QUERIES)
def test_dashboard_is_about_metrics_that_exist(query: str) -> None:
    promql_parser.parse(query.replace("$__rate_interval", "5m"))
    assert METRIC.findall(query)
    assert set(METRIC.findall(query)) <= series()


def test_every_metric_is_looked_at() -> None:
    """By a rule or a panel; but for those that only explain the others."""
    looked_at = set(METRIC.findall(" ".join([*QUERIES, *(rule["expr"] for rule in RULES)])))
    explain = {
        "dmstats_audit_timestamp_seconds", "dmstats_foreign_messages_total",
        "dmstats_incident_open", "dmstats_lease_changes_total", "dmstats_refresh_queries_total",
        "dmstats_webhook_other_objects_total",
    }  # fmt: skip

    def family(name: str) -> str:
        return re.sub(r"_(bucket|count|sum)$", "", name)

    assert {family(name) for name in series()} - {family(name) for name in looked_at} == explain
