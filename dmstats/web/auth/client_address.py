"""The address of a client as proxies write it, and what counts as one place."""

from __future__ import annotations

import hashlib
import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

BRACKETED = re.compile(r"\[([^\]]*)\](?::\d*)?")
V4_WITH_PORT = re.compile(r"([\d.]+):\d*")
PORT = re.compile(r":\d+$")
UNKNOWN = "unknown"


def client_address(text: str) -> Address | None:
    """``1.2.3.4``, ``1.2.3.4:5678``, ``2001:db8::1``, ``[2001:db8::1]:443``, ``fe80::1%eth0``.

    The zone is dropped, and an IPv4-mapped address is its IPv4 address.
    """
    bare = text.strip()
    if match := BRACKETED.fullmatch(bare) or V4_WITH_PORT.fullmatch(bare):
        bare = match[1]
    try:
        parsed = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def place_of(text: str | None) -> str:
    """The key for limits by address: an IPv4 address itself, or the /64 of an IPv6 address, which
    belongs to one customer. A text that is not an address is its own key."""
    if not text or not text.strip():
        return UNKNOWN
    address = client_address(text)
    if address is None:
        bare = PORT.sub("", text.strip()).encode("utf-8", "replace")
        return "other-" + hashlib.sha256(bare).hexdigest()[:32]
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)
