"""Routes for monitoring: liveness, readiness and metrics."""

from __future__ import annotations

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST

from dmstats.web import services

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Whether a delivery could be counted now, tested by a transaction that is rolled back."""
    if services().stopping:
        return {"status": "unavailable", "failing": "shutdown"}, 503
    if failure := services().readiness.failure():
        return {"status": "unavailable", "failing": "mongodb", "detail": str(failure)}, 503
    return {"status": "ok"}, 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """The metrics of all workers."""
    return Response(services().metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
