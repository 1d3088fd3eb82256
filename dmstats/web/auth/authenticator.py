"""Identifies the sender of a request by session or bearer token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
from dataclasses import dataclass
from typing import cast

from flask import g, request

from dmstats.core.clock import MINUTE_MS, Clock
from dmstats.core.errors import Forbidden, NotFound, NotSignedIn, PoisonError, StoreUnavailable
from dmstats.core.settings import Settings
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.admin_store import AdminStore, lookup_name
from dmstats.db.admins.scopes import Scope
from dmstats.db.admins.second_factor import SecondFactors, UsedCode
from dmstats.db.admins.session_store import PASSWORD_ALONE, By, Proof, Session, SessionStore
from dmstats.db.admins.shared_links import SharedLinkStore
from dmstats.db.admins.token_store import TokenStore, token_key
from dmstats.web.auth.client_address import client_address, place_of
from dmstats.web.auth.credentials import TOKEN_KEY, Credentials
from dmstats.web.auth.csrf import SAFE_METHODS, require_own_origin
from dmstats.web.auth.outage_grace import OutageGrace
from dmstats.web.auth.proxy_header import named_by_proxy
from dmstats.web.auth.rate_limit import SignInRateLimit
from dmstats.web.auth.session_guard import SessionGuard
from dmstats.web.auth.sessions import (
    await_code,
    awaiting_code,
    clear_cookie,
    known_device,
    sent_key,
    set_cookie,
    want_fresh_sign_in,
)

logger = logging.getLogger(__name__)

OLDEST_TOKEN = "ADMIN_API_TOKEN"  # noqa: S105 - its name
"""The name of the one token that is a setting."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The sender of a request: a person with a ``session``, or a script whose token has
    ``scopes``."""

    admin: Admin | None
    session: Session | None = None
    scopes: frozenset[Scope] = frozenset()
    token_name: str = ""
    token_id: str | None = None

    @property
    def two_factors(self) -> bool:
        """Whether the person has a second factor here, or signed in with one of a provider."""
        return (self.admin is not None and self.admin.second_factor) or (
            self.session is not None and self.session.proof.two_factors
        )


CODE_MS = 5 * MINUTE_MS
"""How long after the password the code may come."""

RECENT_MS = 10 * MINUTE_MS
"""How long after a sign-in a person without a password may do what needs a password."""


class CodeNeeded(NotSignedIn):
    """The password is right, and a code is needed as well."""

    title = "Second factor needed"

    def __init__(self) -> None:
        super().__init__("Also send the code of your authenticator app, or sign in with a passkey.")


class WrongCode(NotSignedIn):
    """The password was right and the code is not; ``email`` is whose it should have been."""

    title = "Wrong code"

    def __init__(self, email: str) -> None:
        super().__init__("This code is not correct, or was already used. Wait for the next one.")
        self.email = email


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A successful sign-in; ``used`` is the kind of code, None without a code."""

    admin: Admin
    by: By
    used: UsedCode | None = None


class Authenticator:
    """Signs people in and identifies the sender of a request."""

    def __init__(
        self,
        settings: Settings,
        admins: AdminStore,
        sessions: SessionStore,
        tokens: TokenStore,
        links: SharedLinkStore,
        second_factors: SecondFactors,
        rate_limit: SignInRateLimit,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._token = settings.admin_api_token
        self._secret = (settings.secret_key or "").encode()
        self._admins = admins
        self._sessions = sessions
        self._second_factors = second_factors
        self._rate_limit = rate_limit
        self._clock = clock
        self._guard = SessionGuard(Credentials(sessions, tokens, links), clock)
        self._tokens = tokens
        self._token_grace = OutageGrace(tokens.find, lambda token: token.ends_ms, clock)

    def sign_in(self, email: str, password: str, code: str | None = None) -> SignedIn:
        """Open a session, and end this browser's previous one.

        Raises :class:`NotSignedIn` or :class:`TooManyRequests`, and :class:`CodeNeeded` if there is
        a second factor but no ``code``; :meth:`finish_sign_in` then takes it, in this browser.
        """
        account, place = lookup_name(email), self._place()
        taken = self._rate_limit.attempt(
            account,
            request.remote_addr,
            device=known_device(account),
            known_place=lambda: self._admins.is_known_place(account, place),
        )
        admin = self._admins.verify(account, password)
        if admin is None:
            raise NotSignedIn("Email and password do not match an active account.")
        self._rate_limit.succeeded(taken)
        _require_role(admin)
        if code and admin.second_factor:
            used = self._check_code(admin, code)
            return self._begin(admin, Proof(By.PASSWORD, two_factors=True), used)
        return self.sign_in_as(admin, PASSWORD_ALONE)

    def sign_in_as(self, admin: Admin, proof: Proof) -> SignedIn:
        """Open a session of the verified ``admin``, and end this browser's previous one.

        Raises :class:`CodeNeeded` if the second factor is missing, and :class:`Forbidden` if the
        provider no longer assigns a role to the person.
        """
        _require_role(admin)
        if admin.second_factor and not proof.two_factors:
            await_code(admin, self._clock.now_ms() + CODE_MS, proof)
            raise CodeNeeded
        return self._begin(admin, proof)

    def knock(self) -> None:
        """Take one attempt of the request's address; raises :class:`TooManyRequests`."""
        self._rate_limit.knock(request.remote_addr)

    def finish_sign_in(self, code: str) -> SignedIn:
        """Open the session of a person who has just passed the first step in this browser.

        Raises :class:`NotSignedIn`, :class:`WrongCode` or :class:`TooManyRequests`.
        """
        admin, waiting = self.awaited(), awaiting_code()
        if admin is None or waiting is None:
            raise NotSignedIn("This took too long. Sign in again.")
        used = self._check_code(admin, code)
        proof = Proof(waiting.by, two_factors=True, provider_ms=waiting.provider_ms)
        return self._begin(admin, proof, used)

    def awaited(self) -> Admin | None:
        """The person whose code is awaited in this browser; None if none is, or not any more."""
        waiting = awaiting_code()
        if waiting is None or waiting.until_ms <= self._clock.now_ms():
            return None
        try:
            admin = self._admins.get(waiting.admin_id)
        except NotFound:
            return None
        shut_out = admin.disabled or admin.refused or not admin.second_factor
        return None if shut_out or admin.session_epoch != waiting.epoch else admin

    def _check_code(self, admin: Admin, code: str) -> UsedCode:
        """Raises :class:`WrongCode`; has the same limits as passwords, counted separately."""
        place = self._place()
        taken = self._rate_limit.attempt(
            f"code of {admin.email}",
            request.remote_addr,
            device=known_device(admin.email),
            known_place=lambda: self._admins.is_known_place(admin.email, place),
        )
        used = self._second_factors.check(admin.id, code)
        if used is None:
            raise WrongCode(admin.email)
        self._rate_limit.succeeded(taken)
        return used

    def _begin(self, admin: Admin, proof: Proof, used: UsedCode | None = None) -> SignedIn:
        place, before = self._place(), sent_key()
        set_cookie(self._sessions.open(admin, proof), admin.email)
        # No sign-in fails for it: neither by an outage nor by an odd document.
        with contextlib.suppress(StoreUnavailable, PoisonError):
            self._admins.remember_place(admin.id, place)
        if before is not None:
            self._end(before)
        return SignedIn(admin, proof.by, used)

    def confirm(self, admin: Admin, password: str) -> None:
        """Verify a signed-in person's password again; people without one must have signed in
        recently.

        Raises :class:`Forbidden` if it is wrong, or :class:`TooManyRequests`.
        """
        if admin.passwordless:
            self._require_recent_sign_in()
            return
        taken = self._rate_limit.confirm(admin.id)
        if self._admins.verify(admin.email, password) is None:
            raise Forbidden("Your current password is not correct.")
        self._rate_limit.succeeded(taken)

    def _require_recent_sign_in(self) -> None:
        session, since = current_identity().session, self._clock.now_ms() - RECENT_MS
        if session is not None and session.started_ms >= since:
            if session.proof.by is not By.PROVIDER:
                return
            # The provider signs in without asking while its own session lasts: that proves nothing
            # about who sits there now.
            asked_ms = session.proof.provider_ms
            if asked_ms is not None and asked_ms >= since:
                return
        want_fresh_sign_in()
        raise Forbidden("Sign out and in again first: this needs a recent sign-in.")

    def confirm_attempt(self, admin: Admin) -> None:
        """Take one attempt of a signed-in person; raises :class:`TooManyRequests`."""
        self._rate_limit.confirm(admin.id)

    def resume(self, admin: Admin) -> None:
        """Go on with a new session, after a change that ended the old ones.

        It is no sign-in: the new session ends when the old one would have ended.
        """
        session = current_identity().session
        if session is None:
            raise Forbidden("This needs a person's own session, not an API token.")
        token = self._sessions.open(admin, session.proof, started_ms=session.started_ms)
        set_cookie(token, admin.email)

    def end_other_sessions(self, admin: Admin) -> None:
        """End all sessions of a signed-in person but this one."""
        self.resume(self._admins.sign_out_everywhere(admin.id))

    def end_other_sessions_if_possible(self, admin: Admin) -> None:
        """The same before an answer with recovery codes, which are not shown again: an outage is
        only logged."""
        try:
            self.end_other_sessions(admin)
        except StoreUnavailable as error:
            logger.warning("sessions_not_ended", extra={"error": error.reason})

    def _place(self) -> str:
        """Where the request comes from, in a form that can be stored: it names no address."""
        place = place_of(request.remote_addr).encode()
        return hmac.new(self._secret, place, hashlib.sha256).hexdigest()[:32]

    def sign_out(self) -> Admin | None:
        """End this browser's session, and no other one; whose it was, None without one.

        The browser forgets it in any case; raises :class:`StoreUnavailable` if the session itself
        could not be ended.
        """
        key = sent_key()
        clear_cookie()
        if key is None:
            return None
        self._guard.forget(key)
        found = self._guard.find(key, reading=False)
        self._end(key)
        return found[1] if found else None

    def forget_token(self, token_id: str) -> None:
        """This worker has ended that API token: it holds no more, also while MongoDB is away."""
        self._token_grace.forget_all(f"{token_id}-")

    def is_first_refusal(self) -> bool:
        """Whether this is the first attempt within a minute that the limits refuse its address."""
        return self._rate_limit.is_first_refusal(request.remote_addr)

    def _end(self, key: str) -> None:
        self._guard.forget(key)
        self._sessions.end(key)

    def identify(self) -> Identity | None:
        """The sender of the current request;

        None if unknown. One of our bearer tokens decides alone; any other one belongs to an
        identity proxy, and the session is used. Raises :class:`Forbidden` for a state-changing
        request that another site made with an admin's cookie, and :class:`StoreUnavailable` while
        MongoDB is away; see :class:`SessionGuard`.
        """
        if bearer_is(self._token):
            return Identity(None, scopes=frozenset(Scope), token_name=OLDEST_TOKEN)
        reading = request.method in SAFE_METHODS
        if (token := token_key(_bearer() or "")) is not None:
            return self._script(token, reading=reading)
        key = sent_key()
        found = self._guard.find(key, reading=reading) if key else None
        if found is None:
            return None
        require_own_origin(request)
        session, admin = found
        if session.proof.by is By.PROXY and self._is_somebody_else(admin):
            return None
        with contextlib.suppress(StoreUnavailable):
            self._sessions.renew(session)
        return Identity(admin, session)

    def _is_somebody_else(self, admin: Admin) -> bool:
        """Whether the identity proxy names another person by now, as after signing out there."""
        email = named_by_proxy(request, self._settings)
        return email is not None and email != admin.email

    def _script(self, key: str, *, reading: bool) -> Identity | None:
        token = self._token_grace.find(key, reading=reading)
        if token is None:
            return None
        address = client_address(request.remote_addr or "")
        with contextlib.suppress(StoreUnavailable):
            self._tokens.note_use(token, str(address) if address else "unknown")
        return Identity(None, scopes=token.scopes, token_name=token.name, token_id=token.id)

    def ended(self, keys: set[str]) -> set[str]:
        """Those of the sessions, tokens and shared links ``keys`` that have ended; for open
        streams, outside any request.

        Raises :class:`StoreUnavailable`.
        """
        return self._guard.ended(keys)


def _require_role(admin: Admin) -> None:
    if admin.refused:
        raise Forbidden(
            "At your last sign-in the provider assigned no role to you. Sign in through the "
            "provider, or ask an admin."
        )


def bearer_is(secret: str | None) -> bool:
    """Whether the request carries ``secret`` as its bearer token; without a secret: no."""
    sent = _bearer()
    if not secret or not sent:
        return False
    return hmac.compare_digest(sent.encode(), secret.encode())


def _bearer() -> str | None:
    """The bearer token of the request, possibly empty, with any characters."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def current_identity() -> Identity:
    """The sender of a request to a route that is not open; set by
    :func:`dmstats.web.auth.access.enforce`."""
    return cast("Identity", g.identity)


def signed_in() -> Admin:
    """The person behind a route that takes sessions only."""
    admin = current_identity().admin
    if admin is None:
        raise Forbidden("This needs a person's own session, not an API token.")
    return admin


def reader_name() -> str:
    """The name of the signed-in person or token, as shown on pages."""
    identity = current_identity()
    return identity.admin.email if identity.admin else identity.token_name


def stream_session() -> str:
    """The key of the session or token that a stream is opened with; empty for ADMIN_API_TOKEN."""
    identity = current_identity()
    if identity.session is not None:
        return identity.session.key
    return TOKEN_KEY + identity.token_id if identity.token_id else ""
