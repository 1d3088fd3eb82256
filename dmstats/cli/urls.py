"""Base addresses on the command line."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import click

SCHEMES = ("http", "https")


class BaseUrl(click.ParamType[str]):
    """An http or https address, optionally with a path; without a trailing slash."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        try:
            parts = urlsplit(text)
            good = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or not text.isprintable() or " " in text:
            self.fail(f"{text!r} must start with https:// or http:// and name a host", param, ctx)
        return text.rstrip("/")
