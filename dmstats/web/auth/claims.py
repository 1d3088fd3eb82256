"""Reads a person's identity and role from the claims of an OpenID Connect provider; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmstats.core.errors import Forbidden
from dmstats.core.settings import Settings
from dmstats.db.admins.admin import Refusal
from dmstats.db.admins.admin_store import lookup_name
from dmstats.db.admins.identities import ExternalIdentity
from dmstats.db.admins.roles import Role

NOT_ASCII = (
    "Your email address contains non-ASCII characters, so it cannot be used for single sign-on. "
    "Ask an admin for a password."
)
"""Other characters may fold to the plain ones of another person's address."""

NO_EMAIL = "The provider did not send your email address."
UNVERIFIED = "The provider has not verified your email address. Verify it there first."
FOREIGN_DOMAIN = "People with your email domain cannot sign in here."
NO_ROLE = "Your account at the provider has no role for dmstats. Ask the people who manage it."

MAX_SUBJECT_LENGTH = 255
"""As OpenID Connect limits it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A verified answer of the provider. ``role``: None if roles are given on the page People."""

    identity: ExternalIdentity
    email: str
    role: Role | None


class ClaimsRefused(Forbidden):
    """The provider's claims about ``identity`` do not allow a sign-in."""

    def __init__(self, identity: ExternalIdentity, refusal: Refusal, words: str) -> None:
        super().__init__(words)
        self.identity = identity
        self.refusal = refusal


def claimed(claims: Mapping[str, Any], settings: Settings) -> Claimed:
    """What ``claims``, whose signature and issuer are verified, say; raises :class:`Forbidden`."""
    subject, email = claims.get("sub"), claims.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_LENGTH:
        raise Forbidden("The provider did not identify you.")
    identity = ExternalIdentity(settings.oidc_issuer or "", subject)
    name = lookup_name(email) if isinstance(email, str) else ""
    if not isinstance(email, str) or not name:
        raise ClaimsRefused(identity, Refusal.EMAIL, NO_EMAIL)
    if not email.isascii():
        raise ClaimsRefused(identity, Refusal.EMAIL, NOT_ASCII)
    # Some providers send the word instead of the value.
    verified = claims.get("email_verified")
    if verified is not True and verified != "true":
        raise ClaimsRefused(identity, Refusal.UNVERIFIED, UNVERIFIED)
    if settings.oidc_domains and name.rpartition("@")[2] not in settings.oidc_domains:
        raise ClaimsRefused(identity, Refusal.DOMAIN, FOREIGN_DOMAIN)
    if settings.oidc_role_claim is None:
        return Claimed(identity, name, None)
    role = _role(claim(claims, settings.oidc_role_claim), settings.oidc_roles)
    if role is None:
        raise ClaimsRefused(identity, Refusal.ROLE, NO_ROLE)
    return Claimed(identity, name, role)


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of that name, else the one at that path with dots; None if there is neither."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _role(value: Any, given: tuple[tuple[str, str], ...]) -> Role | None:
    """The highest role that one of the claim's values gives."""
    values = value if isinstance(value, list) else [value]
    roles = {role for name, role in given if name in values}
    return next((role for role in reversed(Role) if role.value in roles), None)
