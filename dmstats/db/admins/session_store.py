"""The admins' open sessions, in ``dmstats_sessions``; deleting a document ends its session."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import pymongo
from bson import ObjectId

from dmstats.core.clock import HOUR_MS, Clock, to_datetime, to_ms
from dmstats.core.errors import NotSignedIn
from dmstats.db.admins.admin import IDENTITY, Admin, admin_from, epoch_from
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ADMINS, SESSIONS

IDLE_MS = 12 * HOUR_MS
RENEW_AFTER_MS = HOUR_MS
FUTURE_MS = HOUR_MS
"""How far the clock of the host that opened a session may be ahead."""
READ_SECONDS = 1.0
"""How long a request may wait for its session to be read, in seconds."""

LAST_ENDING = "last-ending"
"""The ``_id`` of the one document that is not a session: its ``mark`` changes whenever a session or
token is ended, so that a worker with open streams only has to read this document."""

AT_ONCE = 1000
"""So many sessions are asked for in one query."""

WITH_HOLDER: Sequence[Mapping[str, Any]] = (
    {
        "$lookup": {
            "from": ADMINS, "localField": "admin", "foreignField": "_id", "as": "holder",
        },
    },
    {
        "$project": {
            **dict.fromkeys(("admin", "adminEpoch", "startedAt", "usedAt"), 1),
            **dict.fromkeys(("by", "twoFactors", "providerAt"), 1),
            **{f"holder.{name}": 1 for name in ("_id", *IDENTITY)},
        },
    },
)  # fmt: skip
"""Adds a session's admin. Every request reads both: two reads would cost twice the time."""


class By(StrEnum):
    """How a person was authenticated; the value is stored, and shown in the activity log."""

    PASSWORD = "password"  # noqa: S105 - no password
    PASSKEY = "passkey"
    PROVIDER = "single sign-on"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Proof:
    """How somebody signed in; ``two_factors``: with a second factor, or a passkey, which is two.

    ``provider_ms`` (ms since the epoch) is when the provider itself last asked the person to sign
    in there; None if it did not report that, and for other ways to sign in.
    """

    by: By = By.PASSWORD
    two_factors: bool = False
    provider_ms: int | None = None


PASSWORD_ALONE = Proof()


@dataclass(frozen=True, slots=True)
class Session:
    """One session. ``key`` is the digest of its secret token; times are in ms since the epoch.

    ``admin_epoch`` is the admin's ``session_epoch`` at sign-in, ``proof`` what it was opened with.
    """

    key: str
    admin_id: str
    admin_epoch: int
    started_ms: int
    used_ms: int
    ends_ms: int
    proof: Proof = PASSWORD_ALONE


def session_key(token: str) -> str:
    """The digest under which the session with this token is stored."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class SessionStore:
    """Reads and writes sessions; every method may raise :class:`StoreUnavailable`.

    A session ends after 12 hours without a request, and ``hours`` after the sign-in at the latest.
    """

    def __init__(self, mongo: Mongo, clock: Clock, *, hours: int = 12) -> None:
        self._sessions = mongo.db[SESSIONS]
        self._admins = mongo.db[ADMINS]
        self._clock = clock
        self._longest_ms = hours * HOUR_MS

    def open(
        self, admin: Admin, proof: Proof = PASSWORD_ALONE, *, started_ms: int | None = None
    ) -> str:
        """Create a session of ``admin``, who was just verified; returns its secret token, which is
        not stored.

        ``started_ms`` (ms since the epoch) is set if the session replaces an earlier one: the
        session ends a fixed time after the sign-in.

        Raises :class:`NotSignedIn` if the admin was disabled or all sessions were ended in the
        meantime.
        """
        token, now = secrets.token_urlsafe(32), self._clock.now_ms()
        key, started = session_key(token), now if started_ms is None else started_ms
        document = {
            "_id": key,
            "admin": ObjectId(admin.id),
            "adminEpoch": admin.session_epoch,
            "startedAt": to_datetime(started),
            "usedAt": to_datetime(now),
            "endsAt": to_datetime(self._end_ms(started, now)),
            "by": proof.by.value,
            "twoFactors": proof.two_factors,
        }
        if proof.provider_ms is not None:
            document["providerAt"] = to_datetime(proof.provider_ms)
        with translated():
            self._sessions.insert_one(document)
            # Ending an admin's sessions changes the epoch first and deletes afterwards: either
            # that deletion met this session, or the new epoch is there to be read.
            if self.find(key) is None:
                self._sessions.delete_one({"_id": key})
                raise NotSignedIn("This account was just changed. Sign in again.")
        return token

    def find(self, key: str) -> tuple[Session, Admin] | None:
        """The session with that key and its admin; None if it has ended."""
        pipeline = [{"$match": {"_id": key}}, *WITH_HOLDER]
        with translated(), pymongo.timeout(READ_SECONDS):
            found = list(self._sessions.aggregate(pipeline))
        session = self._session(found[0]) if found else None
        holders: list[Document] = found[0]["holder"] if found else []
        admin = admin_from(holders[0]) if holders else None
        if session is None or admin is None or not self._holds(session, admin):
            return None
        return session, admin

    def renew(self, session: Session) -> None:
        """Record that the session is in use, at most once an hour. Does not revive an ended
        session."""
        now = self._clock.now_ms()
        if now - session.used_ms < RENEW_AFTER_MS:
            return
        ends = to_datetime(self._end_ms(session.started_ms, now))
        used = {"usedAt": to_datetime(now), "endsAt": ends}
        with translated(), pymongo.timeout(READ_SECONDS):
            self._sessions.update_one({"_id": session.key}, {"$set": used})

    def end(self, key: str) -> None:
        """End one session, and no other."""
        with translated():
            self._sessions.delete_one({"_id": key})
            self.mark_ending()

    def end_all(self, admin_id: str) -> None:
        """End every session of one admin."""
        with translated():
            self._sessions.delete_many({"admin": ObjectId(admin_id)})
            self.mark_ending()

    def last_ending(self) -> str | None:
        """A text that changes whenever a session or a token is ended; None before the first."""
        with translated(), pymongo.timeout(READ_SECONDS):
            found = self._sessions.find_one({"_id": LAST_ENDING})
        return str(found.get("mark")) if found else None

    def standing(self, keys: Collection[str]) -> set[str]:
        """Those of ``keys`` whose session has not ended."""
        wanted = list(keys)
        documents: list[Document] = []
        with translated(), pymongo.timeout(READ_SECONDS):
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                documents += self._sessions.find({"_id": {"$in": some}})
            ids = list({document.get("admin") for document in documents})
            found = map(admin_from, self._admins.find({"_id": {"$in": ids}}, IDENTITY))
            admins = {admin.id: admin for admin in found if admin}
        sessions = [session for document in documents if (session := self._session(document))]
        return {
            session.key
            for session in sessions
            if (admin := admins.get(session.admin_id)) and self._holds(session, admin)
        }

    def mark_ending(self) -> None:
        """Make every worker check the sessions and tokens of its open streams soon."""
        mark = {"$set": {"mark": secrets.token_hex(8)}}
        with translated():
            self._sessions.update_one({"_id": LAST_ENDING}, mark, upsert=True)

    def _holds(self, session: Session, admin: Admin) -> bool:
        """Whether it has not ended. One from the future was opened by a clock that was wrong: it
        would last until that time, and its length after that."""
        if admin.disabled or admin.session_epoch != session.admin_epoch:
            return False
        return session.started_ms - FUTURE_MS <= self._clock.now_ms() < session.ends_ms

    def _end_ms(self, started_ms: int, used_ms: int) -> int:
        return min(used_ms + IDLE_MS, started_ms + self._longest_ms)

    def _session(self, document: Mapping[str, Any]) -> Session | None:
        started, used = document.get("startedAt"), document.get("usedAt")
        if not (isinstance(started, datetime) and isinstance(used, datetime)):
            return None
        started_ms, used_ms = to_ms(started), to_ms(used)
        return Session(
            key=str(document["_id"]),
            admin_id=str(document.get("admin")),
            admin_epoch=epoch_from(document.get("adminEpoch")),
            started_ms=started_ms,
            used_ms=used_ms,
            # Not the stored end: a shorter DMSTATS_SESSION_HOURS also applies to open sessions.
            ends_ms=self._end_ms(started_ms, used_ms),
            proof=_proof(document),
        )


def _proof(document: Mapping[str, Any]) -> Proof:
    """A session of an earlier release has neither field: it was opened with a password."""
    by = document.get("by")
    known = By(by) if isinstance(by, str) and by in set(By) else By.PASSWORD
    asked = document.get("providerAt")
    provider_ms = to_ms(asked) if isinstance(asked, datetime) else None
    return Proof(known, document.get("twoFactors") is True, provider_ms)
