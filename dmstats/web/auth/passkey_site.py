"""For which site passkeys are made, and from which origin they may be used. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Request

from dmstats.core.errors import Forbidden
from dmstats.core.setting_types import is_ip_address, is_loopback
from dmstats.core.settings import Settings


class PasskeyRefused(Forbidden):
    """The browser's answer is not a valid proof; ``reason`` is the cause."""

    title = "Passkey refused"


@dataclass(frozen=True, slots=True)
class PasskeySite:
    """``host`` is the relying party's id, to which passkeys are bound; ``origin`` also has the
    scheme and port."""

    host: str
    origin: str


def passkey_site(settings: Settings, request: Request) -> PasskeySite | None:
    """By ``DMSTATS_PUBLIC_URL`` if that is set, else by the request; None where browsers know no
    passkeys: without HTTPS, and below an address instead of a name."""
    try:
        parts = urlsplit(settings.public_url or request.url_root)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if not host or is_ip_address(host):
        return None
    if parts.scheme != "https" and not is_loopback(host):
        return None
    usual = port is None or port == {"https": 443, "http": 80}[parts.scheme]
    return PasskeySite(host, f"{parts.scheme}://{host}{'' if usual else f':{port}'}")
