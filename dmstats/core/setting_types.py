"""Declares and parses settings; a ``ValueError`` says what is allowed."""

from __future__ import annotations

import codecs
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DEFAULT_SECRETS = frozenset(
    {
        *("changeme", "change-me", "change_me", "changeit", "replaceme", "replace-me"),
        *("secret", "secret-key", "secret_key", "secretkey", "supersecret", "topsecret"),
        *("your-secret", "your-secret-key", "your_secret_key", "my-secret-key", "development"),
        *("password", "password1", "password123", "passw0rd", "default", "example", "insecure"),
        *("12345678", "123456789", "1234567890", "87654321", "qwertyui", "qwertyuiop"),
    }
)
MIN_DISTINCT = 4
"""A value with fewer different characters is taken for a placeholder."""
MIN_SECRET_LENGTH = 8
ALERT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
BYTE_ORDER_MARK = "\ufeff"
QUOTES = ('""', "''", "``", "\u201c\u201d", "\u2018\u2019")


def setting(
    env: str,
    parse: Callable[[str], Any],
    default: Any,
    shown: str,
    about: str,
    *,
    secret: bool = False,
) -> Any:
    """Declare a setting.

    ``shown`` is the default as printed in the documentation. A ``secret`` may be read from the
    file named by ``<env>_FILE`` and is never printed.
    """
    return field(
        default=default,
        repr=not secret,
        metadata={"env": env, "parse": parse, "shown": shown, "about": about, "secret": secret},
    )


def raw_value(environ: Mapping[str, str], name: str, *, may_be_file: bool) -> str:
    """A setting's text, stripped; read from the file named by ``<name>_FILE`` if allowed."""
    value = environ.get(name, "").strip()
    path = environ.get(f"{name}_FILE", "").strip() if may_be_file else ""
    if value and path:
        raise ValueError(f"set once: {name} and {name}_FILE are both given")
    if path:
        value = _file_text(Path(path)).strip()
    if value.startswith(BYTE_ORDER_MARK):
        remedy = f": save {path} as UTF-8 without one" if path else ""
        raise ValueError(f"without the byte order mark in front{remedy}")
    return value


def _file_text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(
            f"UTF-8 text: {path} is UTF-16; save it as UTF-8, without a byte order mark"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"UTF-8 text, which {path} is not") from None


def text(value: str) -> str:
    """Any text."""
    return value


def host_name(value: str) -> str:
    """A host name or an IP address, without a port."""
    if any(c.isspace() or c in "/[]" for c in value) or (":" in value and not is_ip_address(value)):
        raise ValueError("a host name or an IP address")
    return value


def is_ip_address(value: str) -> bool:
    """Whether ``value`` is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


NAMED = re.compile(r"(export\s+)?[A-Z]+(_[A-Z]+)+=")


def one_secret(value: str) -> str:
    """A secret that is neither quoted, short nor a well-known default, and can all be seen."""
    _refuse_quotes(value)
    default = value.lower() in DEFAULT_SECRETS or len(set(value)) < MIN_DISTINCT
    if len(value) < MIN_SECRET_LENGTH or default:
        raise ValueError(f"at least {MIN_SECRET_LENGTH} characters, and not a common default")
    if NAMED.match(value):
        raise ValueError("the value alone, without its name and = in front")
    for place, character in enumerate(value, 1):
        if not character.isprintable():  # copied from a page, or a file of several lines
            code = f"U+{ord(character):04X}"
            raise ValueError(f"without invisible characters: {code} is character {place}")
    return value


def _refuse_quotes(value: str) -> None:
    """Reject quotes. A shell or .env parser strips them, but ``docker run --env-file`` and mounted
    files keep them, and then no signature would match."""
    if len(value) > 1 and value[0] + value[-1] in QUOTES:
        raise ValueError("written without quotes around it")


def several_secrets(value: str) -> tuple[str, ...]:
    """One secret or several, separated by commas."""
    _refuse_quotes(value)
    secrets = tuple(one_secret(part.strip()) for part in value.split(",") if part.strip())
    if not secrets:
        raise ValueError("one secret or several, separated by commas")
    return secrets


def address(*schemes: str) -> Callable[[str], str]:
    """An address of one of ``schemes``."""

    def parse(value: str) -> str:
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(
                "an address that starts with " + " or ".join(f"{s}://" for s in schemes)
            )
        return value

    return parse


def base_url(value: str) -> str:
    """The address of this service as browsers and programs see it, perhaps with a path."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or " " in value or not value.isprintable():
        raise ValueError("an address such as https://stats.example.com, without ? and #")
    return value


def alert_urls(value: str) -> tuple[str, ...]:
    """One address for alerts or several, separated by commas.

    A comma inside an address (``mailto://...?to=a@example.com,b@example.com``) is not a separator,
    because no address begins after it.
    """
    found = tuple(dict.fromkeys(re.split(rf"\s*,\s*(?={ALERT_URL.pattern})", value)))
    for each in found:
        web = each.lower().startswith(("http://", "https://"))
        if not (ALERT_URL.fullmatch(each) and each.isprintable()) or (web and not _host(each)):
            raise ValueError(
                "addresses such as https://host/path (gets JSON), slack://... or mailto://... "
                "(by Apprise), several separated by commas"
            )
    return found


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def mail_server(value: str) -> str:
    """The address of a mail server."""
    parts = urlsplit(value)
    try:
        good = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path.strip("/") or not value.isprintable():
        raise ValueError(
            "smtps://user:password@host:port or smtp://..., user name and password percent-encoded"
        )
    return value


def mail_address(value: str) -> str:
    """An email address."""
    name, at, domain = value.partition("@")
    if not (name and at and domain) or not value.isprintable() or "@" in domain:
        raise ValueError("an address for mails, such as dmstats@example.com")
    return value


def whole(least: int, most: int, unit: str = "") -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(value: str) -> int:
        number = int(value) if value.isascii() and value.isdecimal() else -1
        if not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most}{unit and ' ' + unit}")
        return number

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    """One of a few words."""

    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return value

    return parse


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, without a port) is loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
