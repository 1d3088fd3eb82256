"""Maps identities at a single sign-on provider to people: ``identity`` in a person's document.

A provider may later assign an email address to another person, but never a subject. So the email is
matched only at the first sign-in, and the subject after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from bson import ObjectId

from dmstats.core.clock import to_datetime
from dmstats.core.errors import Forbidden
from dmstats.db import typed
from dmstats.db.admins.admin import PUBLIC, WITHOUT_LINK, Admin, Refusal, admin_from
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ADMINS


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """A person at a provider: the ``issuer``'s address and its ``subject``."""

    issuer: str
    subject: str

    def document(self) -> Document:
        """As it is stored."""
        return {"issuer": self.issuer, "subject": self.subject}


class Identities:
    """Finds people by their identity; every method may raise :class:`StoreUnavailable`."""

    def __init__(self, mongo: Mongo) -> None:
        self._people = mongo.db[ADMINS]

    def known(self, identity: ExternalIdentity) -> Admin | None:
        """The person who has signed in with this identity before."""
        wanted = {
            "identity.issuer": identity.issuer,
            "identity.subject": identity.subject,
        }
        with translated():
            found = self._people.find_one(wanted, PUBLIC)
        return admin_from(found) if found else None

    def connect(self, identity: ExternalIdentity, email: str) -> Admin | None:
        """Link the identity to the person with this ``email``, as stored; None if there is none.

        Raises :class:`Forbidden` if the person has another identity at the same provider.
        """
        with translated():
            found = self._people.find_one({"email": email}, {**PUBLIC, "identity": 1})
            admin = admin_from(found) if found else None
            if found is None or admin is None or admin.disabled:
                return admin
            if typed.document(found.get("identity")).get("issuer") == identity.issuer:
                raise _Taken
            accepted = WITHOUT_LINK if admin.invited else {}
            done = self._people.update_one(
                {"_id": ObjectId(admin.id), "identity.issuer": {"$ne": identity.issuer}},
                {
                    **accepted,
                    "$set": {"identity": identity.document(), **accepted.get("$set", {})},
                },
            )
        if not done.matched_count:
            raise _Taken
        return admin

    def note_refusal(self, admin_id: str, reason: Refusal, at_ms: int) -> None:
        """Note for the People page why a sign-in through the provider was refused at ``at_ms``."""
        noted = {"reason": reason.value, "at": to_datetime(at_ms)}
        with translated():
            self._people.update_one({"_id": ObjectId(admin_id)}, {"$set": {"refusal": noted}})


class _Taken(Forbidden):
    def __init__(self) -> None:
        super().__init__(
            "This email belongs to a person with a different identity at the provider. "
            "If that is you, ask an admin to disable and enable your account."
        )
