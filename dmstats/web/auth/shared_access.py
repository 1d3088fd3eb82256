"""Whether a shared link holds: each request asks, and each has its secret in its path."""

from __future__ import annotations

from dmstats.core.clock import Clock
from dmstats.core.errors import NotFound
from dmstats.db.admins.shared_links import SharedLink, SharedLinkStore, link_key
from dmstats.web.auth.outage_grace import OutageGrace


class SharedAccess:
    """One per worker. A link that was revoked anywhere is refused at the next request; while
    MongoDB is away, only by the worker that revoked it (see :class:`OutageGrace`)."""

    def __init__(self, links: SharedLinkStore, clock: Clock) -> None:
        self._grace = OutageGrace(links.find, lambda link: link.ends_ms, clock)

    def find(self, text: str) -> SharedLink:
        """The link with that secret; raises :class:`NotFound` if there is none, or it has ended,
        and :class:`StoreUnavailable` while MongoDB is away; see :class:`OutageGrace`."""
        key = link_key(text)
        link = self._grace.find(key, reading=True) if key else None
        if link is None:
            raise NotFound("This link does not exist or has expired.")
        return link

    def forget(self, link_id: str) -> None:
        """This worker has ended that link: no grace for it."""
        self._grace.forget_all(f"{link_id}-")
