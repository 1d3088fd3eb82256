"""Who did what, when and from where, in ``dmstats_activity_log``; entries are only ever added.

The database deletes an entry at its ``endsAt``. This module never deletes entries, and changes them
only to replace the id of a forgotten account.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bson import ObjectId

from dmstats.core.clock import DAY_MS, Clock, to_datetime
from dmstats.core.errors import PoisonError, StoreUnavailable
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import ACTIVITY_LOG

logger = logging.getLogger(__name__)

WRITE_SECONDS = 2.0
"""How long an action may wait for its entry to be written, in seconds."""

Place = tuple[int, str]
"""The end of a page: an entry's time in ms and its id."""


class Event(StrEnum):
    """The events; the value is stored, and :data:`WORDS` has the text shown."""

    SIGNED_IN = "signed-in"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGN_IN_LIMITED = "sign-in-limited"
    SIGNED_OUT = "signed-out"
    SIGNED_OUT_EVERYWHERE = "signed-out-everywhere"
    PERSON_ADDED = "person-added"
    PERSON_INVITED = "person-invited"
    PERSON_DISABLED = "person-disabled"
    PERSON_ENABLED = "person-enabled"
    ROLE_CHANGED = "role-changed"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - no password
    LINK_MADE = "link-made"
    LINK_USED = "link-used"
    TOKEN_MADE = "token-made"  # noqa: S105 - no token
    TOKEN_REVOKED = "token-revoked"  # noqa: S105 - no token
    SHARED_LINK_MADE = "shared-link-made"
    SHARED_LINK_REVOKED = "shared-link-revoked"
    SECOND_FACTOR_SET = "second-factor-set"
    SECOND_FACTOR_REMOVED = "second-factor-removed"
    CODE_FAILED = "code-failed"
    RECOVERY_CODE_USED = "recovery-code-used"
    RECOVERY_CODES_MADE = "recovery-codes-made"
    PASSKEY_ADDED = "passkey-added"
    PASSKEY_REMOVED = "passkey-removed"
    ACCOUNT_CHANGED = "account-changed"
    ACCOUNTS_IMPORTED = "accounts-imported"
    ACCOUNT_FORGOTTEN = "account-forgotten"
    ACCESS_WITHDRAWN = "access-withdrawn"
    DELETION_ASKED = "deletion-asked"
    NOTE_ADDED = "note-added"
    NOTE_CHANGED = "note-changed"
    NOTE_DELETED = "note-deleted"
    CHANNEL_ADDED = "channel-added"
    CHANNEL_CHANGED = "channel-changed"
    CHANNEL_DELETED = "channel-deleted"
    RULE_ADDED = "rule-added"
    RULE_CHANGED = "rule-changed"
    RULE_DELETED = "rule-deleted"
    COMMAND_RUN = "command-run"


WORDS: Mapping[str, str] = {
    Event.SIGNED_IN: "Signed in",
    Event.SIGN_IN_FAILED: "Sign-in failed",
    Event.SIGN_IN_LIMITED: "Too many sign-ins",
    Event.SIGNED_OUT: "Signed out",
    Event.SIGNED_OUT_EVERYWHERE: "Signed out everywhere",
    Event.PERSON_ADDED: "Person added",
    Event.PERSON_INVITED: "Person invited",
    Event.PERSON_DISABLED: "Person disabled",
    Event.PERSON_ENABLED: "Person enabled",
    Event.ROLE_CHANGED: "Role changed",
    Event.PASSWORD_CHANGED: "Password changed",
    Event.LINK_MADE: "Password link created",
    Event.LINK_USED: "Password link used",
    Event.TOKEN_MADE: "API token created",
    Event.TOKEN_REVOKED: "API token revoked",
    Event.SHARED_LINK_MADE: "Shared link created",
    Event.SHARED_LINK_REVOKED: "Shared link revoked",
    Event.SECOND_FACTOR_SET: "Second factor set up",
    Event.SECOND_FACTOR_REMOVED: "Second factor removed",
    Event.CODE_FAILED: "Second factor failed",
    Event.RECOVERY_CODE_USED: "Recovery code used",
    Event.RECOVERY_CODES_MADE: "Recovery codes created",
    Event.PASSKEY_ADDED: "Passkey added",
    Event.PASSKEY_REMOVED: "Passkey removed",
    Event.ACCOUNT_CHANGED: "Account changed",
    Event.ACCOUNTS_IMPORTED: "Accounts imported",
    Event.ACCOUNT_FORGOTTEN: "Account forgotten",
    Event.ACCESS_WITHDRAWN: "Meta: access withdrawn",
    Event.DELETION_ASKED: "Meta: deletion requested",
    Event.NOTE_ADDED: "Note added",
    Event.NOTE_CHANGED: "Note changed",
    Event.NOTE_DELETED: "Note deleted",
    Event.CHANNEL_ADDED: "Alert channel added",
    Event.CHANNEL_CHANGED: "Alert channel changed",
    Event.CHANNEL_DELETED: "Alert channel deleted",
    Event.RULE_ADDED: "Alert rule added",
    Event.RULE_CHANGED: "Alert rule changed",
    Event.RULE_DELETED: "Alert rule deleted",
    Event.COMMAND_RUN: "Command run",
}


class ActorKind(StrEnum):
    """The actor: a person, a script's token, a command on a host, or unknown."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - no token
    COMMAND = "command"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Actor:
    """``name``: an email, a token's name, or the user of the operating system; ``origin``: an IP
    address, or for a command the host's name."""

    kind: ActorKind
    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry as read; ``at_ms`` in ms since the epoch. ``target`` is the person or thing
    concerned, ``details`` a few words; both may be empty."""

    id: str
    at_ms: int
    event: str
    actor: Actor
    target: str
    details: str

    @property
    def words(self) -> str:
        """What happened, in words."""
        return WORDS.get(self.event, self.event)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The filter of a query. ``who`` is a prefix of the actor's or the target's name; ``until_ms``
    is exclusive. None and "" match everything."""

    event: str | None = None
    who: str = ""
    since_ms: int | None = None
    until_ms: int | None = None


class ActivityLog:
    """Adds entries and reads them, the newest first."""

    def __init__(self, mongo: Mongo, clock: Clock, *, days: int) -> None:
        self._collection = mongo.db[ACTIVITY_LOG]
        self._clock = clock
        self._days = days

    def add(self, event: Event, actor: Actor, target: str = "", details: str = "") -> None:
        """Add an entry. If that fails, the action stands, and the failure is logged as an error."""
        now = self._clock.now_ms()
        entry: Document = {
            "_id": ObjectId(),
            "at": to_datetime(now),
            "endsAt": to_datetime(now + self._days * DAY_MS),
            "event": event.value,
            "actorKind": actor.kind.value,
            "actor": actor.name,
            "from": actor.origin,
            "target": target,
            "details": details,
        }
        try:
            with translated(), deadline(WRITE_SECONDS):
                self._collection.insert_one(entry)
        except (StoreUnavailable, PoisonError) as error:
            extra = {"activity": event.value, "error": error.reason}
            logger.error("activity_not_recorded", extra=extra)  # noqa: TRY400 - MongoDB is away

    def forget(self, account: str, digest: str) -> None:
        """Replace the id of a forgotten account by ``digest``, and remove the details.

        This is the only change to entries; what was done, by whom and when, stays. Raises
        :class:`StoreUnavailable`.
        """
        with translated():
            self._collection.update_many(
                {"target": account}, {"$set": {"target": digest, "details": ""}}
            )

    def page(
        self, wanted: LogFilter, *, limit: int, after: Place | None = None
    ) -> tuple[list[LogEntry], Place | None]:
        """At most ``limit`` entries, and where the next page begins, None after the last one.

        Raises :class:`StoreUnavailable`.
        """
        query = {"$and": conditions} if (conditions := _conditions(wanted, after)) else {}
        with translated():
            found = self._collection.find(query).sort([("at", -1), ("_id", -1)]).limit(limit + 1)
            entries = [entry for document in found if (entry := _entry(document))]
        more = len(entries) > limit
        last = entries[limit - 1] if more else None
        return entries[:limit], (last.at_ms, last.id) if last else None


def _conditions(wanted: LogFilter, after: Place | None) -> list[Document]:
    found: list[Document] = []
    if wanted.event:
        found.append({"event": wanted.event})
    if wanted.who:
        begins = {"$regex": f"^{re.escape(wanted.who)}"}
        found.append({"$or": [{"actor": begins}, {"target": begins}]})
    if wanted.since_ms is not None:
        found.append({"at": {"$gte": to_datetime(wanted.since_ms)}})
    if wanted.until_ms is not None:
        found.append({"at": {"$lt": to_datetime(wanted.until_ms)}})
    if after is not None:
        at, key = to_datetime(after[0]), ObjectId(after[1])
        found.append({"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": key}}]})
    return found


def _entry(document: Mapping[str, Any]) -> LogEntry | None:
    """The entry in ``document``; None for a document that dmstats did not write."""
    key, at_ms = document.get("_id"), typed.moment(document.get("at"))
    if not isinstance(key, ObjectId) or at_ms is None:
        return None
    event, kind, name, origin, target, details = (
        typed.text(document.get(field)) or ""
        for field in ("event", "actorKind", "actor", "from", "target", "details")
    )
    known = kind in set(ActorKind)
    actor = Actor(ActorKind(kind) if known else ActorKind.STRANGER, name, origin)
    return LogEntry(str(key), at_ms, event, actor, target, details)
