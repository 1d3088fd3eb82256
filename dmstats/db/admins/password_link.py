"""A link with which a person chooses a password: once, within a day, and without the old password.

Only a digest of its token is stored, in the person's document, so that setting the password and
consuming the link are one write.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from bson import ObjectId

from dmstats.core.clock import DAY_MS, rfc3339
from dmstats.core.errors import DmstatsError


class LinkOver(DmstatsError):
    """The link was used, has expired, was replaced, or never existed."""

    status = 410
    title = "Link not valid"

    def __init__(self) -> None:
        super().__init__(
            "This link is no longer valid. Links work once, for a day. Ask an admin for a new one."
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A new link; ``ends_at`` is RFC 3339. The token is stored nowhere else."""

    token: str
    ends_at: str


def new_link(admin_id: str, now_ms: int) -> tuple[Link, int]:
    """A link for this admin, and its expiry in ms since the epoch."""
    ends_ms = now_ms + DAY_MS
    return Link(f"{admin_id}.{secrets.token_urlsafe(32)}", rfc3339(ends_ms)), ends_ms


def link_owner(token: str) -> ObjectId:
    """The ``_id`` of the admin that the link names, not verified; raises :class:`LinkOver`."""
    owner = token.partition(".")[0]
    if not ObjectId.is_valid(owner):
        raise LinkOver
    return ObjectId(owner)


def link_digest(token: str) -> str:
    """What of the token is stored."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
