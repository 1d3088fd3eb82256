"""The warning that signing in from another machine does not work over plain HTTP.

The session cookie is ``Secure`` except on loopback, so browsers drop it without HTTPS.
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
    """A warning if the service accepts remote connections and has no trusted HTTPS proxy."""
    if is_loopback(settings.host) or settings.trusted_proxies:
        return None
    return (
        f"HOST={settings.host} with TRUSTED_PROXIES=0: signing in from other machines does not "
        "work over plain HTTP; put an HTTPS proxy in front, and set TRUSTED_PROXIES=1"
    )
