"""For machines that watch: is it alive, can it count, and the metrics."""

from __future__ import annotations

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from dmstats.core.errors import NotSignedIn
from dmstats.core.setting_types import is_loopback
from dmstats.web import services
from dmstats.web.auth.authenticator import bearer_is

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Whether a delivery sent now can be counted, tried by a transaction that is rolled back."""
    if services().stopping:
        return {"status": "unavailable", "failing": "shutdown"}, 503
    if failure := services().readiness.failure():
        return {"status": "unavailable", "failing": "mongodb", "detail": str(failure)}, 503
    return {"status": "ok"}, 200


@blueprint.get("/metrics")
def metrics() -> Response:
    """All workers' metrics together; for this machine itself, or with the bearer token."""
    if not (_local() or bearer_is(services().settings.admin_api_token)):
        raise NotSignedIn("Metrics are for loopback, or for ADMIN_API_TOKEN as a bearer token")
    return Response(services().metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


def _local() -> bool:
    # Behind a proxy on this machine everybody comes from loopback: X-Forwarded-For gives away
    # that the request was passed on, whether or not the proxy is trusted.
    passed_on = "X-Forwarded-For" in request.headers and not services().settings.trusted_proxies
    return not passed_on and is_loopback(request.remote_addr or "")
