"""API tokens in ``dmstats_api_tokens``: with a name, scopes and an expiry; deleting one revokes it.

A token's text is shown once. Only a digest of its secret part is stored: 256 random bits need no
slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pymongo
from bson import ObjectId

from dmstats.core.clock import DAY_MS, MINUTE_MS, Clock, rfc3339, to_datetime
from dmstats.core.errors import NotFound
from dmstats.db import typed
from dmstats.db.admins.scopes import Scope
from dmstats.db.admins.session_store import READ_SECONDS, SessionStore
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import API_TOKENS

TEXT = re.compile(r"dmstats_([0-9a-f]{24})_([\w-]{43})")
"""The form of a token; any other bearer token is rejected without a database query."""

USE_NOTED_EVERY_MS = MINUTE_MS


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token; ``ends_ms`` and ``used_ms`` in ms since the epoch, ``used_ms`` None before the
    first use. ``made_by`` is an email, ``used_from`` an address."""

    id: str
    name: str
    scopes: frozenset[Scope]
    made_by: str
    created_at: str | None
    ends_ms: int
    used_ms: int | None
    used_from: str | None

    @property
    def ends_at(self) -> str:
        """When it ends, RFC 3339."""
        return rfc3339(self.ends_ms)

    @property
    def used_at(self) -> str | None:
        """When it was last used, to the minute, RFC 3339."""
        return None if self.used_ms is None else rfc3339(self.used_ms)

    @property
    def scope_names(self) -> list[str]:
        """Its scopes, in the order in which they are declared."""
        return [scope.value for scope in Scope if scope in self.scopes]


def token_key(text: str) -> str | None:
    """The id and the secret's digest of the token in ``text``; None if it does not have the form of
    a token."""
    match = TEXT.fullmatch(text)
    return f"{match[1]}-{_digest(match[2])}" if match else None


class TokenStore:
    """Reads and writes tokens; every method may raise :class:`StoreUnavailable`."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._tokens = mongo.db[API_TOKENS]
        self._clock = clock
        self._sessions = SessionStore(mongo, clock)

    def create(
        self, name: str, scopes: Collection[Scope], *, days: int, made_by: str
    ) -> tuple[ApiToken, str]:
        """Create a token that expires after ``days``; returns it with its secret, which is stored
        nowhere else."""
        key, secret, now = ObjectId(), secrets.token_urlsafe(32), self._clock.now_ms()
        document: Document = {
            "_id": key,
            "name": name,
            "scopes": [scope.value for scope in Scope if scope in scopes],
            "digest": _digest(secret),
            "madeBy": made_by,
            "createdAt": to_datetime(now),
            "endsAt": to_datetime(now + days * DAY_MS),
        }
        with translated():
            self._tokens.insert_one(document)
        return _only(document), f"dmstats_{key}_{secret}"

    def find(self, key: str) -> ApiToken | None:
        """The token with that :func:`token_key`; None if there is none, or it has ended."""
        token_id, _, digest = key.partition("-")
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._tokens.find_one({"_id": ObjectId(token_id)})
        stored = typed.text(found.get("digest")) if found else None
        if found is None or not hmac.compare_digest((stored or "").encode(), digest.encode()):
            return None
        token = token_from(found)
        return token if token and token.ends_ms > self._clock.now_ms() else None

    def list(self) -> list[ApiToken]:
        """All tokens, newest first, including expired ones."""
        with translated():
            found = map(token_from, self._tokens.find({}, {"digest": 0}).sort("_id", -1))
            return [token for token in found if token is not None]

    def revoke(self, token_id: str) -> ApiToken:
        """Revoke a token and end its open streams; raises :class:`NotFound`."""
        if not ObjectId.is_valid(token_id):
            raise NotFound("This token does not exist.")
        with translated():
            found = self._tokens.find_one_and_delete({"_id": ObjectId(token_id)})
        if found is None:
            raise NotFound("This token does not exist.")
        self._sessions.mark_ending()
        return _only(found)

    def note_use(self, token: ApiToken, origin: str) -> None:
        """Record the time and address of its last use, at most once a minute for all workers
        together."""
        now = self._clock.now_ms()
        if token.used_ms is not None and now - token.used_ms < USE_NOTED_EVERY_MS:
            return
        before = to_datetime(now - USE_NOTED_EVERY_MS)
        unused = {"$or": [{"usedAt": None}, {"usedAt": {"$lte": before}}]}
        used = {"usedAt": to_datetime(now), "usedFrom": origin}
        with translated(), pymongo.timeout(READ_SECONDS):
            self._tokens.update_one({"_id": ObjectId(token.id), **unused}, {"$set": used})

    def standing(self, token_ids: Collection[str]) -> set[str]:
        """Those of ``token_ids`` whose token has not ended."""
        now = to_datetime(self._clock.now_ms())
        wanted = {"_id": {"$in": [ObjectId(each) for each in token_ids]}, "endsAt": {"$gt": now}}
        with translated(), pymongo.timeout(READ_SECONDS):
            return {str(found["_id"]) for found in self._tokens.find(wanted, {"_id": 1})}


def token_from(document: Mapping[str, Any]) -> ApiToken | None:
    """The token in ``document``; None for a document that dmstats did not write.

    Unknown scopes are skipped.
    """
    key, name, ends = (
        document.get("_id"),
        document.get("name"),
        typed.moment(document.get("endsAt")),
    )
    if not isinstance(key, ObjectId) or not typed.is_text(name) or ends is None:
        return None
    stored, created = document.get("scopes"), typed.moment(document.get("createdAt"))
    names = stored if isinstance(stored, list) else []
    return ApiToken(
        id=str(key),
        name=str(name),
        scopes=frozenset(scope for scope in Scope if scope.value in names),
        made_by=typed.text(document.get("madeBy")) or "",
        created_at=None if created is None else rfc3339(created),
        ends_ms=ends,
        used_ms=typed.moment(document.get("usedAt")),
        used_from=typed.text(document.get("usedFrom")),
    )


def _only(document: Document) -> ApiToken:
    token = token_from(document)
    if token is None:
        raise NotFound("This token does not exist.")
    return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
