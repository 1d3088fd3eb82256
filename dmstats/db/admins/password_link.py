"""A link by which an admin chooses a password: once, within a day, and without the old password.

Of its token only a digest is stored, in the admin's own document: setting the password and using
the link up are one write.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from bson import ObjectId

from dmstats.core.clock import DAY_MS, rfc3339
from dmstats.core.errors import DmstatsError


class LinkOver(DmstatsError):
    """The link was used, is too old, was replaced, or never was one."""

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
    """A link for that admin, and when it ends in ms since the epoch."""
    ends_ms = now_ms + DAY_MS
    return Link(f"{admin_id}.{secrets.token_urlsafe(32)}", rfc3339(ends_ms)), ends_ms


def link_owner(token: str) -> ObjectId:
    """The ``_id`` of the admin whose link it claims to be; raises :class:`LinkOver`."""
    owner = token.partition(".")[0]
    if not ObjectId.is_valid(owner):
        raise LinkOver
    return ObjectId(owner)


def link_digest(token: str) -> str:
    """What of the token is stored."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
