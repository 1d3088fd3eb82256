"""docs/metrics.md, from the declared metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from dmstats.ops.metrics import CommitMetrics, Metrics, PlatformMetrics, SnapshotMetrics, SseMetrics
from docs import NOTICE, table

Collector = Any
GROUPS = {
    "Webhook and commits": CommitMetrics,
    "Statistics": SnapshotMetrics,
    "Streams": SseMetrics,
    "The rest": PlatformMetrics,
}

BEFORE = f"""{NOTICE}

# Metrics

`GET /metrics` returns the sum over all workers of this host in Prometheus' text format. Requests
from other machines need an [API token](http.md#api-tokens) with the scope `metrics`. A separate
refresher serves its own metrics with `flask run-refresher --metrics-port PORT`. Gauges of workers
that have exited are dropped.

Alert rules are in [deploy/prometheus/rules.yml](../deploy/prometheus/rules.yml), a runbook for each
in [operations](operations.md#runbooks), and a Grafana dashboard in
[deploy/grafana/dmstats.json](../deploy/grafana/dmstats.json).
"""


HEAD = ("name", "type", "labels", "")


class Declared(CollectorRegistry):
    """A registry that lists what is declared in it."""

    def __init__(self) -> None:
        self.collectors: list[Collector] = []
        super().__init__()

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)
        super().register(collector)

    def rows(self) -> list[tuple[str, ...]]:
        """Name, type, labels and meaning of each."""
        found: list[tuple[str, ...]] = []
        for collector in self.collectors:
            (family,) = collector.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = getattr(collector, "_labelnames", ())  # the library tells them nowhere else
            shown = ", ".join(f"`{label}`" for label in labels)
            found.append((f"`{name}`", family.type, shown, family.documentation))
        return found


def page() -> str:
    """The whole page."""
    parts, known = [BEFORE], set()
    for title, group in GROUPS.items():
        registry = Declared()
        group(registry)
        parts += [f"## {title}\n", table(HEAD, registry.rows()), ""]
        known |= {row[0] for row in registry.rows()}
    whole = Declared()
    Metrics(whole)
    rest = [row for row in whole.rows() if row[0] not in known]
    return "\n".join([*parts, "## Build\n", table(HEAD, rest), ""])


def series() -> set[str]:
    """Every name that a query may use: of a histogram its three series."""
    whole = Declared()
    Metrics(whole)
    found = set()
    for name, kind, *_ in whole.rows():
        parts = ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)
        found |= {name.strip("`") + part for part in parts}
    return found
