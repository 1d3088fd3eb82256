"""Identifies a person by a header that only the identity proxy can set."""

from __future__ import annotations

from flask import Request

from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import lookup_name
from dmstats.web.auth.client_address import client_address


def named_by_proxy(request: Request, settings: Settings) -> str | None:
    """The email in the proxy's header, normalised;

    None without one. Only the address of the connection itself counts, because ``X-Forwarded-For``
    can be forged.
    """
    if settings.proxy_auth_header is None:
        return None
    # The middleware for TRUSTED_PROXIES keeps there what it has replaced.
    replaced = request.environ.get("werkzeug.proxy_fix.orig", request.environ)
    peer = client_address(replaced.get("REMOTE_ADDR") or "")
    if peer is None or not any(peer in network for network in settings.proxy_auth_from):
        return None
    told = request.headers.get(settings.proxy_auth_header, "")
    # Other characters may fold to those of another person's address. Written out, they match none.
    return lookup_name(told.encode("ascii", "backslashreplace").decode()) or None
