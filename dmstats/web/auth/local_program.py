"""Whether a request comes from a program on this very machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request

from dmstats.core.setting_types import is_loopback

PASSED_ON = frozenset(
    {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
     "x-forwarded-prefix", "x-forwarded-server", "x-real-ip", "x-client-ip", "forwarded", "via",
     "true-client-ip", "cf-connecting-ip", "x-envoy-external-address"}
)  # fmt: skip
"""Headers that proxies add to forwarded requests."""


def is_local_program(request: Request) -> bool:
    """Whether ``request`` comes from a program on this machine and not through a local proxy.

    Behind a local proxy, every request comes from loopback. Any forwarding header reveals a proxy,
    trusted or not. A proxy that adds none (nginx's bare proxy_pass before 1.29.7)
    uses HTTP/1.0.
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
