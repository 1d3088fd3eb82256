"""Parses the settings of single sign-on; a ``ValueError`` says what is allowed."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from dmstats.core.setting_types import is_loopback

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ROLES = ("viewer", "operator", "admin")
DOMAIN = re.compile(r"[^@\s,/]+\.[^@\s,/]+|localhost")
HEADER = re.compile(r"[A-Za-z0-9-]+")
SCOPE = re.compile(r"[!#-\[\]-~]+")
NOT_FOR_SIGN_IN = frozenset({"authorization", "cookie", "host", "x-forwarded-for"})


def issuer(value: str) -> str:
    """A provider's issuer, exactly as its discovery document writes it."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    except ValueError:
        host, safe = "", False
    if not (safe and host and value.isprintable()) or "?" in value or "#" in value:
        raise ValueError("an address that starts with https://, without ? and #")
    return value


def email_domains(value: str) -> tuple[str, ...]:
    """The part of email addresses behind the ``@``; one or several."""
    found = _several(value.casefold())
    if not all(DOMAIN.fullmatch(each) for each in found):
        raise ValueError("domains of email addresses such as example.com, separated by commas")
    return found


def role_map(value: str) -> tuple[tuple[str, str], ...]:
    """The role for each value of the claim, as pairs of a value and a role."""
    found = []
    for each in _several(value):
        given, equals, role = (part.strip() for part in each.rpartition("="))
        if not (given and equals) or role not in ROLES:
            raise ValueError(
                "pairs such as stats-admins=admin,staff=viewer, with the roles " + ", ".join(ROLES)
            )
        found.append((given, role))
    return tuple(found)


def scopes(value: str) -> str:
    """The scopes that are asked for; ``openid`` is one of them."""
    found = value.split()
    if "openid" not in found or not all(SCOPE.fullmatch(each) for each in found):
        raise ValueError("scopes separated by spaces, openid among them")
    return " ".join(found)


def label(value: str) -> str:
    """A few words for a button."""
    if len(value) > 40 or not value.isprintable():
        raise ValueError("at most 40 printable characters")
    return value


def header_name(value: str) -> str:
    """The name of a request header that has no other use."""
    if not HEADER.fullmatch(value) or value.lower() in NOT_FOR_SIGN_IN:
        raise ValueError("the name of a header of its own, such as X-Auth-Request-Email")
    return value


def networks(value: str) -> tuple[Network, ...]:
    """One or several addresses and networks, but not all addresses."""
    try:
        found = tuple(ipaddress.ip_network(each, strict=False) for each in _several(value))
        if all(each.prefixlen for each in found):
            return found
    except ValueError:
        pass
    raise ValueError("IP addresses or networks such as 10.0.0.0/8, separated by commas")


def _several(value: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise ValueError("one value or several, separated by commas")
    return found
