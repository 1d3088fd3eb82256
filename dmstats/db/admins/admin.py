"""One person who can sign in, as read from a document of ``dmstats_admins``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bson import ObjectId

from dmstats.core.clock import rfc3339, to_ms
from dmstats.db import typed
from dmstats.db.admins.roles import Role, role_from

IDENTITY: Mapping[str, Any] = {
    "email": 1,
    "role": 1,
    "disabled": 1,
    "sessionEpoch": 1,
    "totp.since": 1,
    "passkeys.id": 1,
    "passwordless": 1,
    "refused": 1,
}
"""The fields of identity and rights. ``role`` must be among them: a document without it is read as
an admin's."""

PUBLIC: Mapping[str, Any] = {
    **IDENTITY,
    "createdAt": 1,
    "invited": 1,
    "refusal": 1,
    "recovery": 1,
    "totp.recovery": 1,
}
"""All fields of an :class:`Admin`, without the password hash."""

WITHOUT_LINK: Mapping[str, Any] = {
    "$set": {"passwordless": True},
    "$unset": {"invited": "", "link": ""},
}
"""The update for an invited person who has verified the address by single sign-on instead of the
link."""


class Refusal(StrEnum):
    """Why the last sign-in at the provider was refused; the value is stored."""

    ROLE = "no-role"
    EMAIL = "unusable-email"
    UNVERIFIED = "unverified-email"
    DOMAIN = "foreign-domain"


@dataclass(frozen=True, slots=True)
class Refused:
    """The last sign-in at the provider, ``at`` (RFC 3339), was refused for that ``reason``."""

    reason: Refusal
    at: str | None


@dataclass(frozen=True, slots=True)
class Admin:
    """One person, without the password's hash; ``created_at`` is RFC 3339.

    ``session_epoch`` changes whenever all sessions of the person must end. A person who is only
    ``invited`` has no password yet; a ``passwordless`` person signs in by single sign-on instead. A
    ``refused`` person has lost every role at the provider: no way in counts until a sign-in there
    does.
    ``refusal`` is why the last sign-in there was refused, also of people who can still sign in
    otherwise. ``recovery``: recovery codes are left.
    """

    id: str
    email: str
    disabled: bool
    session_epoch: int
    created_at: str | None
    invited: bool = False
    role: Role = Role.ADMIN
    passwordless: bool = False
    codes: bool = False
    passkeys: bool = False
    refused: bool = False
    refusal: Refused | None = None
    recovery: bool = False

    @property
    def second_factor(self) -> bool:
        """Whether the password alone is not enough: the person has ``codes`` of an app, or
        ``passkeys``."""
        return self.codes or self.passkeys


def admin_from(document: Mapping[str, Any]) -> Admin | None:
    """The admin in ``document``; None for a document that dmstats did not write."""
    key, email, created = (document.get(name) for name in ("_id", "email", "createdAt"))
    if not isinstance(key, ObjectId) or not isinstance(email, str):
        return None
    return Admin(
        id=str(key),
        email=email,
        disabled=bool(document.get("disabled", False)),
        session_epoch=epoch_from(document.get("sessionEpoch")),
        created_at=rfc3339(to_ms(created)) if isinstance(created, datetime) else None,
        invited=document.get("invited") is True,
        role=role_from(document),
        passwordless=document.get("passwordless") is True,
        # Damaged values count too: they must not let a person in without a second factor.
        codes="totp" in document,
        passkeys=document.get("passkeys", []) != [],
        refused=document.get("refused") is True,
        refusal=_refusal(document.get("refusal")),
        recovery=bool(
            document.get("recovery") or typed.document(document.get("totp")).get("recovery")
        ),
    )


def _refusal(value: object) -> Refused | None:
    stored = typed.document(value)
    reason, at = stored.get("reason"), stored.get("at")
    if not isinstance(reason, str) or reason not in set(Refusal):
        return None
    return Refused(Refusal(reason), rfc3339(to_ms(at)) if isinstance(at, datetime) else None)


def epoch_from(value: object) -> int:
    """A stored ``sessionEpoch``; 0 if it is not a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return int(value) if isinstance(value, float) and math.isfinite(value) else 0
