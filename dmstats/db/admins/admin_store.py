"""The people who can sign in, stored in ``dmstats_admins``."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from dmstats.core.clock import Clock, SystemClock, to_datetime
from dmstats.core.errors import BadRequest, DmstatsError, NotFound, PoisonError, StoreUnavailable
from dmstats.db.admins.admin import IDENTITY, PUBLIC, WITHOUT_LINK, Admin, admin_from
from dmstats.db.admins.password_link import Link, LinkOver, link_digest, link_owner, new_link
from dmstats.db.admins.passwords import Passwords
from dmstats.db.admins.roles import Role
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.client import Document, Mongo, translated
from dmstats.db.collection_names import ADMINS

EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
EMAIL_LENGTH = 254
EPOCH = "sessionEpoch"
MOST_PLACES = 10
FIRST_ID = ObjectId("0" * 24)
"""The fixed id of the first admin: of two concurrent starts only one can insert it."""


class EmailTaken(DmstatsError):
    """There is an admin with that email already."""

    status = 409
    title = "Email taken"


class LastAdmin(DmstatsError):
    """No admin would be left who can manage people."""

    status = 409
    title = "Last admin"

    def __init__(self) -> None:
        super().__init__(
            "This is the last admin who can sign in. Make another person an admin first."
        )


def normal_email(email: str) -> str:
    """``email`` in the form in which it is stored; raises :class:`BadRequest` if it is not an email
    address."""
    normal = unicodedata.normalize("NFKC", email).strip().casefold()
    if len(normal) > EMAIL_LENGTH or not EMAIL.fullmatch(normal) or not normal.isprintable():
        raise BadRequest("This is not an email address.")
    return normal


def lookup_name(email: str) -> str:
    """The normalised name under which ``email`` is looked up; empty if it is not an email
    address."""
    try:
        return normal_email(email)
    except BadRequest:
        return ""


class AdminStore:
    """Reads and writes admins; every method may raise :class:`StoreUnavailable`."""

    def __init__(
        self, mongo: Mongo, passwords: Passwords | None = None, clock: Clock | None = None
    ) -> None:
        self._collection = mongo.db[ADMINS]
        self._passwords = passwords or Passwords()
        self._clock = clock or SystemClock()
        self._sessions = SessionStore(mongo, self._clock)

    def create(self, email: str, password: str, role: Role = Role.ADMIN) -> Admin:
        """Add a person; raises :class:`BadRequest` or :class:`EmailTaken`."""
        hashed = self._passwords.hash(password)
        return self._insert(ObjectId(), normal_email(email), hashed, role)

    def first(self, email: str, password: str) -> bool:
        """Add the first admin; False if there already is one, including one that another process
        has just added."""
        with translated():
            if self._collection.find_one({}, {"_id": 1}):
                return False
        try:
            hashed = self._passwords.hash(password)
            self._insert(FIRST_ID, normal_email(email), hashed, Role.ADMIN)
        except EmailTaken:
            return False
        return True

    def verify(self, email: str, password: str) -> Admin | None:
        """The admin whom these credentials sign in; ``None`` if they are wrong or disabled."""
        wanted = lookup_name(email)
        with translated():
            found = self._collection.find_one({"email": wanted}) if wanted else None
        stored = found.get("passwordHash") if found else None
        known = stored if isinstance(stored, str) else None
        if not self._passwords.matches(password, known) or found is None or known is None:
            return None
        admin = admin_from(found)
        if admin is None or admin.disabled:
            return None
        if self._passwords.outdated(known):
            self._rehash(found["_id"], known, password)
        return admin

    def is_known_place(self, email: str, place: str) -> bool:
        """Whether the admin with this email has signed in from this address before."""
        wanted = {"email": lookup_name(email), "places": place}
        with translated():
            return self._collection.find_one(wanted, {"_id": 1}) is not None

    def remember_place(self, admin_id: str, place: str) -> None:
        """Record an address from which the admin signed in; the last ten are kept."""
        unknown = {"_id": _key(admin_id), "places": {"$ne": place}}
        with translated():
            self._collection.update_one(
                unknown, {"$push": {"places": {"$each": [place], "$slice": -MOST_PLACES}}}
            )

    def change_password(self, admin_id: str, password: str) -> Admin:
        """Set a new password; all open sessions of that admin end, and so does a link."""
        return self._change(admin_id, {"passwordHash": self._passwords.hash(password)})

    def invite(self, email: str, role: Role = Role.ADMIN) -> tuple[Admin, Link]:
        """Add a person who chooses a password with the link.

        Raises :class:`BadRequest` or :class:`EmailTaken`.
        """
        admin = self._insert(ObjectId(), normal_email(email), None, role, {"invited": True})
        return self.make_link(admin.id)

    def admit(self, email: str, role: Role, identity: Document) -> Admin:
        """Add a person who signs in by single sign-on, with that ``identity`` at the provider.

        Raises :class:`BadRequest` or :class:`EmailTaken`.
        """
        more = {"passwordless": True, "identity": identity}
        return self._insert(ObjectId(), normal_email(email), None, role, more)

    def make_link(self, admin_id: str) -> tuple[Admin, Link]:
        """Create a link with which the person can choose a password, once, within a day.

        It replaces an earlier link. The current password and sessions stay valid until it is used.
        Raises :class:`NotFound`, also for an admin who is disabled.
        """
        link, ends_ms = new_link(admin_id, self._clock.now_ms())
        stored = {"digest": link_digest(link.token), "endsAt": to_datetime(ends_ms)}
        with translated():
            found = self._collection.find_one_and_update(
                {"_id": _key(admin_id), "disabled": {"$ne": True}},
                {"$set": {"link": stored}},
                projection=PUBLIC,
                return_document=ReturnDocument.AFTER,
            )
        if found is None:
            raise NotFound("This person does not exist, or the account is disabled.")
        return _only(found), link

    def accept_invitation(self, admin_id: str) -> Admin:
        """Record that an invited person has verified the address without the link, and signs in
        without a password; the link ends. Does nothing for other people."""
        with translated():
            self._collection.update_one({"_id": _key(admin_id), "invited": True}, WITHOUT_LINK)
        return self.get(admin_id)

    def link_holder(self, token: str) -> Admin:
        """The owner of a link; raises :class:`LinkOver` if it is not valid (any more)."""
        with translated():
            found = self._collection.find_one(self._by_link(token), PUBLIC)
        admin = admin_from(found) if found else None
        if admin is None:
            raise LinkOver
        return admin

    def redeem(self, token: str, password: str) -> Admin:
        """Set the password of the link's owner and consume the link; all open sessions end.

        If the password is refused, the link stays valid. Raises :class:`BadRequest` or
        :class:`LinkOver`, also for one of two concurrent uses.
        """
        admin = self.link_holder(token)
        values = {"passwordHash": self._passwords.hash(password)}
        try:
            return self._change(admin.id, values, where=self._by_link(token))
        except NotFound:
            raise LinkOver from None

    def set_disabled(self, admin_id: str, *, disabled: bool) -> Admin:
        """Disable or enable a person; all their open sessions end.

        An enabled person may use a new identity at the single sign-on provider, and is no longer
        refused. Raises :class:`LastAdmin`.
        """
        if disabled:
            return self._take_rights(admin_id, {"disabled": True})
        return self._change(admin_id, {"disabled": False})

    def set_role(self, admin_id: str, role: Role) -> Admin:
        """Change a person's role; all their open sessions end. Raises :class:`LastAdmin`."""
        change = self._change if role is Role.ADMIN else self._take_rights
        return change(admin_id, {"role": role.value}, keep_link=True)

    def refuse(self, admin_id: str) -> Admin:
        """Record that the provider no longer assigns a role to a person; all their open sessions
        end.

        Raises :class:`LastAdmin`.
        """
        return self._take_rights(admin_id, {"refused": True})

    def admit_again(self, admin_id: str) -> Admin:
        """The provider lets somebody in again."""
        with translated():
            self._collection.update_one(
                {"_id": _key(admin_id)}, {"$unset": {"refused": "", "refusal": ""}}
            )
        return self.get(admin_id)

    def sign_out_everywhere(self, admin_id: str) -> Admin:
        """End all open sessions of an admin, in every browser."""
        return self._change(admin_id, {})

    def get(self, admin_id: str) -> Admin:
        """The person with that id; raises :class:`NotFound`."""
        with translated():
            found = self._collection.find_one({"_id": _key(admin_id)}, PUBLIC)
        if found is None:
            raise NotFound("This person does not exist.")
        return _only(found)

    def find(self, email: str) -> Admin:
        """The person with this email; raises :class:`BadRequest` or :class:`NotFound`."""
        wanted = normal_email(email)
        with translated():
            found = self._collection.find_one({"email": wanted}, PUBLIC)
        admin = admin_from(found) if found else None
        if admin is None:
            raise NotFound(f"There is no person with the email {wanted}.")
        return admin

    def known_email(self, email: str) -> str:
        """``email`` as stored if a person has it, else an empty string: it may be a password typed
        into the wrong field."""
        wanted = lookup_name(email)
        with translated():
            known = wanted and self._collection.find_one({"email": wanted}, {"_id": 1})
        return wanted if known else ""

    def list(self) -> list[Admin]:
        """All admins by email; documents that dmstats did not write are left out."""
        try:
            return _read(self._collection, PUBLIC)
        except PoisonError:
            # One of them contains an invalid date, which must not hide the others.
            return _read(self._collection, IDENTITY)

    def _take_rights(self, admin_id: str, values: Document, *, keep_link: bool = False) -> Admin:
        """Set ``values``, which may take the right to manage people, and end the person's sessions.

        If no admin who can sign in is left, restore the rights and raise :class:`LastAdmin`. The
        values are written once, before the check: of requests at the same moment, the last to
        write sees that no admin is left, and none takes again what another has restored.
        """
        key = _key(admin_id)
        if self._managers() == {str(key)}:
            raise LastAdmin  # an outage after the write could leave no admin
        update = {"$set": values}
        with translated():
            before = self._collection.find_one_and_update({"_id": key}, update, projection=PUBLIC)
        if before is None:
            raise NotFound("This person does not exist.")
        admin = admin_from(before)
        if admin is not None and _manages(admin) and not self._managers():
            back = {"role": Role.ADMIN.value, "disabled": False, "refused": False}
            with translated():
                self._collection.update_one({"_id": key}, {"$set": back})
            raise LastAdmin
        return self._change(admin_id, {}, keep_link=keep_link)

    def _managers(self) -> set[str]:
        """The ids of the admins who can sign in."""
        return {admin.id for admin in self.list() if _manages(admin)}

    def _insert(
        self,
        key: ObjectId,
        email: str,
        password_hash: str | None,
        role: Role,
        more: Mapping[str, Any] = {},
    ) -> Admin:
        document: Document = {
            "_id": key,
            "email": email,
            "passwordHash": password_hash,
            "role": role.value,
            "disabled": False,
            EPOCH: 1,
            "createdAt": to_datetime(self._clock.now_ms()),
            **more,
        }
        with translated():
            try:
                self._collection.insert_one(document)
            except DuplicateKeyError:
                raise EmailTaken(f"There is already a person with the email {email}.") from None
        return _only(document)

    def _by_link(self, token: str) -> Document:
        now = to_datetime(self._clock.now_ms())
        return {
            "_id": link_owner(token),
            "link.digest": link_digest(token),
            "link.endsAt": {"$gt": now},
            "disabled": {"$ne": True},
        }

    def _change(
        self,
        admin_id: str,
        values: Document,
        *,
        where: Document | None = None,
        keep_link: bool = False,
    ) -> Admin:
        """Set ``values``, and end all sessions of that admin: those that are open, and by the new
        epoch one that is being opened at this moment. A link that was not used ends with them,
        unless ``keep_link``.

        ``where`` must hold for it at the same time, or it is :class:`NotFound`.
        """
        wanted = {**(where or {}), "_id": _key(admin_id)}
        over = {} if keep_link else {"link": ""}
        if "passwordHash" in values:
            over |= {"invited": "", "passwordless": ""}
        if values.get("disabled") is False:
            over |= {"identity": "", "refused": "", "refusal": ""}
        setting = {"$set": values} if values else {}
        unsetting = {"$unset": over} if over else {}
        with translated():
            for epoch, update in (
                ({EPOCH: {"$type": "number"}}, {**setting, "$inc": {EPOCH: 1}}),
                # A document that something else has written: there is no events up from.
                ({}, {"$set": {**values, EPOCH: 1}}),
            ):
                found = self._collection.find_one_and_update(
                    {**wanted, **epoch},
                    {**update, **unsetting},
                    projection=PUBLIC,
                    return_document=ReturnDocument.AFTER,
                )
                if found is not None:
                    break
        if found is None:
            raise NotFound("This person does not exist.")
        self._sessions.end_all(admin_id)
        return _only(found)

    def _rehash(self, key: ObjectId, known: str, password: str) -> None:
        # The old hash still signs in: neither an outage nor a password from before the present
        # rules may turn a good sign-in into a failure.
        with contextlib.suppress(BadRequest, StoreUnavailable), translated():
            self._collection.update_one(
                {"_id": key, "passwordHash": known},
                {"$set": {"passwordHash": self._passwords.hash(password)}},
            )


def _key(admin_id: str) -> ObjectId:
    if not ObjectId.is_valid(admin_id):
        raise NotFound("This person does not exist.")
    return ObjectId(admin_id)


def _manages(admin: Admin) -> bool:
    """Whether this is an admin who can sign in."""
    return admin.role is Role.ADMIN and not (admin.disabled or admin.invited or admin.refused)


def _only(document: Document) -> Admin:
    admin = admin_from(document)
    if admin is None:
        raise NotFound("This person does not exist.")
    return admin


def _read(collection: Collection[Document], fields: Mapping[str, Any]) -> list[Admin]:
    with translated():
        found = map(admin_from, collection.find({}, fields).sort("email", 1))
        return [admin for admin in found if admin is not None]
