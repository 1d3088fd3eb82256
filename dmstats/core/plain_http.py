"""Why nobody can sign in over plain HTTP from another machine, and what to do about it.

The session cookie is ``Secure`` off loopback: browsers drop it without HTTPS.
"""

from __future__ import annotations

from dmstats.core.setting_types import is_loopback
from dmstats.core.settings import Settings

NEEDS_HTTPS = (
    "Signing in from another machine needs HTTPS: without it, browsers do not keep the session. "
    "Open this page with https://. If a proxy in front of dmstats already does HTTPS, set "
    "TRUSTED_PROXIES to the number of proxies."
)


def warning(settings: Settings) -> str | None:
    """A sentence where the service listens for other machines and trusts no proxy to do HTTPS."""
    if is_loopback(settings.host) or settings.trusted_proxies:
        return None
    return (
        f"HOST={settings.host} with TRUSTED_PROXIES=0: from other machines nobody can sign in over "
        "plain HTTP; put a proxy that does HTTPS in front, and set TRUSTED_PROXIES=1"
    )
