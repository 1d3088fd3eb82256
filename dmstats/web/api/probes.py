"""Routes for monitoring: liveness, readiness and metrics."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from dmstats.core.errors import NotSignedIn
from dmstats.core.setting_types import is_loopback
from dmstats.web import services
from dmstats.web.auth.authenticator import bearer_is

PASSED_ON = frozenset(
    {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
     "x-forwarded-prefix", "x-forwarded-server", "x-real-ip", "x-client-ip", "forwarded", "via",
     "true-client-ip", "cf-connecting-ip", "x-envoy-external-address"}
)  # fmt: skip
"""Headers that proxies add to forwarded requests."""

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
    """The metrics of all workers; only for loopback or with the bearer token."""
    if not (_local() or bearer_is(services().settings.admin_api_token)):
        raise NotSignedIn("Metrics require loopback, or ADMIN_API_TOKEN as a bearer token")
    return Response(services().metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


def _local() -> bool:
    """Whether the request comes from a program on this machine and not through a local proxy.

    Behind a local proxy, every request comes from loopback. Any forwarding header reveals a proxy,
    trusted or not. A proxy that adds none (nginx's bare proxy_pass) uses HTTP/1.0.
    """
    if PASSED_ON & {name.lower() for name, _ in request.headers}:
        return False
    if request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return False
    try:
        asked = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(asked) and is_loopback(request.remote_addr or "")
