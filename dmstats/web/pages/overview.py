"""The overview to look at only: of a shared link, or (``?wall``) on a screen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from flask import render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from dmstats.sse.hub import HEARTBEAT_SECONDS
from dmstats.web import services
from dmstats.web.pages.first_paint import figure_texts

WALL = "wall"


def is_wall() -> bool:
    """Whether the page is for a screen: large figures, dark, no controls."""
    return WALL in request.args


def overview_page(
    label: str,
    parts: Collection[str],
    snapshot: Mapping[str, Any] | None,
    *,
    stats: str,
    stream: str,
) -> ResponseReturnValue:
    """The page with the ``parts`` of ``snapshot``; later ones come from ``stats`` and ``stream``,
    paths relative to the service's base path."""
    body = msgspec.json.encode(snapshot).decode() if snapshot else ""
    return render_template(
        "shared.html",
        label=label,
        parts=parts,
        wall=is_wall(),
        settings=services().settings,
        heartbeat=round(HEARTBEAT_SECONDS),
        stats_url=stats,
        stream_url=stream,
        # Only inside JSON's strings can these stand, and there an escape means the same.
        first=Markup(body.replace("<", "\\u003c")),  # noqa: S704  # nosec B704
        snapshot=snapshot,
        texts=figure_texts(snapshot or {}),
    )
