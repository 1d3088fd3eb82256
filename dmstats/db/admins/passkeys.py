"""Passkeys (WebAuthn): in ``passkeys`` of a person's document, and the challenges that are open, in
``dmstats_challenges``.

Only public keys are stored: a reader of the database cannot sign in with them.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bson import Binary, ObjectId

from dmstats.core.clock import MINUTE_MS, Clock, rfc3339, to_datetime
from dmstats.core.errors import DmstatsError, NotFound
from dmstats.db import typed
from dmstats.db.admins.admin import PUBLIC, Admin, admin_from
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ADMINS, CHALLENGES

CHALLENGE_MS = 5 * MINUTE_MS
"""How long a person may take to touch the key or phone."""

MAX_PASSKEYS = 20
"""So many passkeys one person may have."""

WITH_PASSKEYS = {name: 1 for name in PUBLIC if not name.startswith("passkeys")} | {"passkeys": 1}


class Purpose(StrEnum):
    """What a challenge may be answered for."""

    ADD = "add"
    SIGN_IN = "sign-in"


class TooManyPasskeys(DmstatsError):
    """The person has as many passkeys as one may have."""

    status = 409
    title = "Too many passkeys"

    def __init__(self) -> None:
        super().__init__(f"You have {MAX_PASSKEYS} passkeys. Remove one first.")


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey. ``credential`` is its id as the browser knows it (base64url), ``key`` its public
    key (COSE), ``uses`` its counter, which stays 0 for most; times in ms since the epoch."""

    id: str
    name: str
    credential: str
    key: bytes
    uses: int
    created_ms: int
    used_ms: int | None

    @property
    def created_at(self) -> str:
        """When it was added, RFC 3339."""
        return rfc3339(self.created_ms)

    @property
    def used_at(self) -> str | None:
        """When it last signed in, RFC 3339."""
        return None if self.used_ms is None else rfc3339(self.used_ms)


class Passkeys:
    """Reads and writes passkeys; every method may raise :class:`StoreUnavailable`."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._people = mongo.db[ADMINS]
        self._challenges = mongo.db[CHALLENGES]
        self._clock = clock

    def challenge(self, purpose: Purpose, admin_id: str | None = None) -> bytes:
        """A new challenge for this purpose, and for this person if known."""
        made = secrets.token_bytes(32)
        ends = to_datetime(self._clock.now_ms() + CHALLENGE_MS)
        document = {"_id": _digest(made), "purpose": purpose.value, "admin": admin_id}
        with translated():
            self._challenges.insert_one({**document, "endsAt": ends})
        return made

    def redeem(self, challenge: bytes, purpose: Purpose, admin_id: str | None = None) -> bool:
        """Consume the challenge; returns whether it was open for this purpose and person."""
        with translated():
            found = self._challenges.find_one_and_delete({"_id": _digest(challenge)})
        ends = typed.moment(found.get("endsAt")) if found else None
        return (
            found is not None
            and found.get("purpose") == purpose.value
            and found.get("admin") == admin_id
            and ends is not None
            and ends > self._clock.now_ms()
        )

    def list(self, admin_id: str) -> list[Passkey]:
        """All passkeys of a person, the oldest first."""
        with translated():
            found = self._people.find_one({"_id": _key(admin_id)}, {"passkeys": 1})
        return _passkeys(found or {})

    def find(self, admin_id: str, credential: str) -> tuple[Admin, Passkey] | None:
        """The person with this id and the passkey; None if there is none or the person is
        disabled."""
        if not ObjectId.is_valid(admin_id):
            return None
        with translated():
            found = self._people.find_one({"_id": ObjectId(admin_id)}, WITH_PASSKEYS)
        admin = admin_from(found) if found else None
        if found is None or admin is None or admin.disabled:
            return None
        known = [each for each in _passkeys(found) if each.credential == credential]
        return (admin, known[0]) if known else None

    def add(self, admin_id: str, name: str, credential: str, key: bytes, uses: int) -> Passkey:
        """Store a new passkey; raises :class:`TooManyPasskeys`."""
        stored: Document = {
            "id": ObjectId(),
            "name": name,
            "credential": credential,
            "key": Binary(key),
            "uses": uses,
            "createdAt": to_datetime(self._clock.now_ms()),
        }
        fits = {f"passkeys.{MAX_PASSKEYS - 1}": {"$exists": False}}
        new = {"passkeys.credential": {"$ne": credential}}
        with translated():
            done = self._people.update_one(
                {"_id": _key(admin_id), **fits, **new}, {"$push": {"passkeys": stored}}
            )
        if not done.matched_count:
            raise TooManyPasskeys
        (made,) = _passkeys({"passkeys": [stored]})
        return made

    def note_use(self, admin_id: str, passkey: Passkey, uses: int) -> bool:
        """Record a sign-in that set the counter to ``uses``; False if the passkey was used or
        removed at the same moment."""
        wanted = {"id": ObjectId(passkey.id), "uses": passkey.uses}
        used = {
            "passkeys.$.uses": uses,
            "passkeys.$.usedAt": to_datetime(self._clock.now_ms()),
        }
        with translated():
            done = self._people.update_one(
                {"_id": _key(admin_id), "passkeys": {"$elemMatch": wanted}}, {"$set": used}
            )
        return bool(done.matched_count)

    def remove(self, admin_id: str, passkey_id: str) -> Passkey:
        """Forget one passkey; raises :class:`NotFound`."""
        removed = [each for each in self.list(admin_id) if each.id == passkey_id]
        if not removed:
            raise NotFound("This passkey does not exist.")
        with translated():
            self._people.update_one(
                {"_id": _key(admin_id)},
                {"$pull": {"passkeys": {"id": ObjectId(removed[0].id)}}},
            )
        return removed[0]

    def remove_all(self, admin_id: str) -> None:
        """Forget all passkeys of a person, and the recovery codes."""
        over = {"$unset": {"passkeys": "", "recovery": ""}}
        with translated():
            self._people.update_one({"_id": _key(admin_id)}, over)


def _passkeys(document: Mapping[str, Any]) -> list[Passkey]:
    """Those in a person's document that can be read."""
    stored = document.get("passkeys")
    found = map(_passkey, stored if isinstance(stored, list) else [])
    return [each for each in found if each is not None]


def _passkey(stored: object) -> Passkey | None:
    fields = typed.document(stored)
    key, credential, public = (fields.get(name) for name in ("id", "credential", "key"))
    created, uses = typed.moment(fields.get("createdAt")), typed.count(fields.get("uses"))
    readable = isinstance(key, ObjectId) and typed.is_text(credential) and created is not None
    if not readable or not isinstance(public, bytes) or uses is None or created is None:
        return None
    return Passkey(
        id=str(key),
        name=typed.text(fields.get("name")) or "",
        credential=str(credential),
        key=bytes(public),
        uses=uses,
        created_ms=created,
        used_ms=typed.moment(fields.get("usedAt")),
    )


def _digest(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()


def _key(admin_id: str) -> ObjectId:
    if not ObjectId.is_valid(admin_id):
        raise NotFound("This person does not exist.")
    return ObjectId(admin_id)
