"""Shared links in ``dmstats_shared_links``: anyone with a link can see chosen parts of the
overview.

A link's text is shown once. Only a digest of its secret part is stored: 256 random bits need no
slow hash. Deleting the document ends the link.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pymongo
from bson import ObjectId

from dmstats.core.clock import DAY_MS, Clock, rfc3339, to_datetime
from dmstats.core.errors import NotFound
from dmstats.db import typed
from dmstats.db.admins.session_store import READ_SECONDS, SessionStore
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import SHARED_LINKS

TEXT = re.compile(r"([0-9a-f]{24})-([\w-]{43})", re.ASCII)
"""The form of a link's secret; anything else is rejected without a database query."""


class Part(StrEnum):
    """What a link may show."""

    MESSAGES = "messages"
    PEOPLE = "people"
    EVENTS = "events"
    QUALITY = "quality"
    ACCOUNTS = "accounts"


PART_WORDS: Mapping[str, str] = {
    Part.MESSAGES: "Messages: today, this month, all time, right now, and the chart",
    Part.PEOPLE: "The numbers of accounts and users",
    Part.EVENTS: "Other events",
    Part.QUALITY: "Data quality",
    Part.ACCOUNTS: "The top 10 accounts, by name",
}
"""Each part in words."""


@dataclass(frozen=True, slots=True)
class SharedLink:
    """One link; ``ends_ms`` in ms since the epoch. ``made_by`` is an email."""

    id: str
    label: str
    parts: frozenset[str]
    made_by: str
    created_at: str | None
    ends_ms: int

    @property
    def ends_at(self) -> str:
        """When it ends, RFC 3339."""
        return rfc3339(self.ends_ms)

    @property
    def part_names(self) -> list[str]:
        """Its parts, in the order in which they are declared."""
        return [part.value for part in Part if part in self.parts]


def link_key(text: str) -> str | None:
    """The id and the secret's digest of the link in ``text``; None if it does not have the form of
    a link."""
    match = TEXT.fullmatch(text)
    return f"{match[1]}-{_digest(match[2])}" if match else None


class SharedLinkStore:
    """Reads and writes links; every method may raise :class:`StoreUnavailable`."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._links = mongo.db[SHARED_LINKS]
        self._clock = clock
        self._sessions = SessionStore(mongo, clock)

    def create(
        self, label: str, parts: Collection[Part], *, days: int, made_by: str
    ) -> tuple[SharedLink, str]:
        """Create a link that expires after ``days``; returns it with its secret, which is stored
        nowhere else."""
        key, secret, now = ObjectId(), secrets.token_urlsafe(32), self._clock.now_ms()
        document: Document = {
            "_id": key,
            "label": label,
            "parts": [part.value for part in Part if part in parts],
            "digest": _digest(secret),
            "madeBy": made_by,
            "createdAt": to_datetime(now),
            "endsAt": to_datetime(now + days * DAY_MS),
        }
        with translated():
            self._links.insert_one(document)
        return _only(document), f"{key}-{secret}"

    def find(self, key: str) -> SharedLink | None:
        """The link with that :func:`link_key`; None if there is none, or it has ended."""
        link_id, _, digest = key.partition("-")
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._links.find_one({"_id": ObjectId(link_id)})
        stored = typed.text(found.get("digest")) if found else None
        if found is None or not hmac.compare_digest((stored or "").encode(), digest.encode()):
            return None
        link = link_from(found)
        return link if link and link.ends_ms > self._clock.now_ms() else None

    def list(self) -> list[SharedLink]:
        """All links, newest first, including expired ones."""
        with translated():
            found = map(link_from, self._links.find({}, {"digest": 0}).sort("_id", -1))
            return [link for link in found if link is not None]

    def revoke(self, link_id: str) -> SharedLink:
        """Revoke a link and end its open streams; raises :class:`NotFound`."""
        found = None
        if ObjectId.is_valid(link_id):
            with translated():
                found = self._links.find_one_and_delete({"_id": ObjectId(link_id)})
        if found is None:
            raise NotFound("This link does not exist.")
        self._sessions.mark_ending()
        return _only(found)

    def standing(self, link_ids: Collection[str]) -> set[str]:
        """Those of ``link_ids`` whose link has not ended."""
        now = to_datetime(self._clock.now_ms())
        wanted = {"_id": {"$in": [ObjectId(each) for each in link_ids]}, "endsAt": {"$gt": now}}
        with translated(), pymongo.timeout(READ_SECONDS):
            return {str(found["_id"]) for found in self._links.find(wanted, {"_id": 1})}


def link_from(document: Mapping[str, Any]) -> SharedLink | None:
    """The link in ``document``; None for a document that dmstats did not write.

    Unknown parts are skipped.
    """
    key, label = document.get("_id"), typed.text(document.get("label"))
    ends, created = typed.moment(document.get("endsAt")), typed.moment(document.get("createdAt"))
    if not isinstance(key, ObjectId) or label is None or ends is None:
        return None
    stored = document.get("parts")
    names = stored if isinstance(stored, list) else []
    return SharedLink(
        id=str(key),
        label=label,
        parts=frozenset(part.value for part in Part if part.value in names),
        made_by=typed.text(document.get("madeBy")) or "",
        created_at=None if created is None else rfc3339(created),
        ends_ms=ends,
    )


def _only(document: Document) -> SharedLink:
    link = link_from(document)
    if link is None:
        raise NotFound("This link does not exist.")
    return link


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
