"""The web server as a supervised program: gunicorn's command line and readiness check."""

from __future__ import annotations

import http.client
import ipaddress
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from dmstats.core.settings import Settings
from dmstats.embedded.child import Program
from dmstats.embedded.servers import LOOPBACK

PACKAGE = Path(__file__).parent.parent
PROBE_SECONDS = 1.0
STOP_SECONDS = 8.5
"""Slightly longer than gunicorn's graceful timeout; with the databases, under 15 s in total."""


def program(settings: Settings, environ: Mapping[str, str]) -> Program:
    """gunicorn with the host, port and workers in ``settings``; restarted only after a kill."""
    return Program(
        name="the web server",
        command=(sys.executable, "-m", "gunicorn", *_application()),
        environ={
            **environ,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "WEB_CONCURRENCY": str(settings.web_concurrency),
        },
        log=None,
        stop_seconds=STOP_SECONDS + settings.drain_seconds,
        death_signal=signal.SIGTERM,  # a graceful shutdown
        always_restart=False,
    )


def base_url(settings: Settings) -> str:
    """The service's URL on this machine."""
    host = _reachable(settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def answers(settings: Settings) -> bool:
    """Whether a worker serves requests."""
    connection = http.client.HTTPConnection(
        _reachable(settings.host), settings.port, timeout=PROBE_SECONDS
    )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _reachable(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name
        return host
    if address.is_unspecified:
        # With bindv6only set, "::" does not accept connections to 127.0.0.1.
        return LOOPBACK if address.version == 4 else "::1"
    return host


def _application() -> tuple[str, ...]:
    """gunicorn's arguments for an installed package or a checkout."""
    packed = PACKAGE / "_resources"
    if packed.is_dir():
        return ("-c", str(packed / "gunicorn.conf.py"), "dmstats._resources.wsgi:app")
    root = PACKAGE.parent
    return ("-c", str(root / "gunicorn.conf.py"), "--pythonpath", str(root), "wsgi:app")
