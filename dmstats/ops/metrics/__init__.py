"""The Prometheus metrics of all workers, and the hooks that update them.

There is one module per group of packages; docs/metrics.md lists every metric.
"""

from __future__ import annotations

import logging
import os

from prometheus_client import CollectorRegistry, Gauge, generate_latest, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from dmstats import __version__
from dmstats.ops.metrics.commit_metrics import CommitMetrics
from dmstats.ops.metrics.platform_metrics import PlatformMetrics
from dmstats.ops.metrics.snapshot_metrics import SnapshotMetrics
from dmstats.ops.metrics.sse_metrics import SseMetrics

logger = logging.getLogger(__name__)

TRIES = 3

__all__ = ["CommitMetrics", "Metrics", "PlatformMetrics", "SnapshotMetrics", "SseMetrics"]


class Metrics(CommitMetrics, SnapshotMetrics, SseMetrics, PlatformMetrics):
    """All metrics in a separate registry; one object per process.

    Under Gunicorn (``PROMETHEUS_MULTIPROC_DIR``) the exposition aggregates all workers.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        for part in (CommitMetrics, SnapshotMetrics, SseMetrics, PlatformMetrics):
            part.__init__(self, registry)
        build = Gauge(
            "dmstats_build_info", "1, with the running version as a label.",
            ["version"], registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        build.labels(__version__).set(1)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            for _ in range(TRIES):
                try:
                    # It exists unless something deleted it.
                    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                    everything = CollectorRegistry()
                    MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
                    return generate_latest(everything)
                except OSError:
                    # A worker's file was deleted between listing and reading, or the folder is
                    # unusable.
                    continue
            logger.warning("metrics_files_missing", extra={"folder": folder})
        return generate_latest(self.registry)

    def serve(self, host: str, port: int) -> None:
        """Serve the metrics on ``host`` and ``port`` from a thread of this process.

        For processes without a web server; raises ``OSError`` if it cannot listen there.
        """
        start_http_server(port, host, self.registry)
