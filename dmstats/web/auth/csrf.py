"""Whether a state-changing request comes from our own pages (CSRF)."""

from __future__ import annotations

from flask import Request

from dmstats.core.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})


def require_own_origin(request: Request) -> None:
    """Raise :class:`Forbidden` for a state-changing request that another site's page made.

    Browsers say where a request comes from and pages cannot change that. A client that sends
    neither header is not a browser, and does not send an admin's cookies by accident.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        # It alone decides: it holds also where a proxy hides the address that the browser sees.
        allowed = site in OWN_SITES
    else:
        origin = request.headers.get("Origin")
        # https also where a proxy does it without being trusted.
        own = {f"{scheme}://{request.host}".lower() for scheme in (request.scheme, "https")}
        allowed = origin is None or origin.lower() in own
    if not allowed:
        raise Forbidden("This request came from another site's page.")
