"""Who is asking: an admin's session or the bearer token, and what happens without."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast

from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue

from dmstats.core.clock import Clock
from dmstats.core.errors import Forbidden, NotSignedIn
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import Admin, AdminStore
from dmstats.web import services
from dmstats.web.auth.admin_cache import AdminCache
from dmstats.web.auth.csrf import require_own_origin
from dmstats.web.auth.rate_limit import SignInRateLimit
from dmstats.web.auth.sessions import LIFETIME_SECONDS, close_session, open_session, read_session

P = ParamSpec("P")
R = TypeVar("R", bound=ResponseReturnValue)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking. With the bearer token there is no ``admin``, and it never ends.

    ``signed_at`` is when the session was signed last, in seconds since 1970.
    """

    admin: Admin | None
    signed_at: int = 0


class Authenticator:
    """Signs admins in and says who a request is from."""

    def __init__(
        self, settings: Settings, admins: AdminStore, rate_limit: SignInRateLimit, clock: Clock
    ) -> None:
        self._token = settings.admin_api_token
        self._admins = admins
        self._rate_limit = rate_limit
        self._clock = clock
        self._admin_cache = AdminCache(admins.list, clock)

    def sign_in(self, email: str, password: str) -> Admin:
        """Open a session; raises :class:`NotSignedIn` or :class:`TooManyRequests`."""
        admin = self._check(email, password)
        open_session(admin, self._clock.now_ms())
        return admin

    def confirm(self, admin: Admin, password: str) -> None:
        """Ask a signed-in admin's password again; raises :class:`Forbidden` if it is wrong."""
        try:
            self._check(admin.email, password)
        except NotSignedIn:
            raise Forbidden("Your current password is not right.") from None

    def resume(self, admin: Admin) -> None:
        """Go on with a new session, after a change that ended the old ones."""
        open_session(admin, self._clock.now_ms())

    def _check(self, email: str, password: str) -> Admin:
        account = email.strip().casefold()
        self._rate_limit.attempt(account, request.remote_addr)
        admin = self._admins.verify(email, password)
        if admin is None:
            raise NotSignedIn("That email and password do not match an active admin.")
        self._rate_limit.succeeded(account)
        return admin

    def sign_out(self) -> None:
        """End this browser's session."""
        close_session()

    def identify(self) -> Identity | None:
        """Who the current request is from; None if nobody known.

        A bearer token, where one is sent, decides alone. Raises :class:`Forbidden` for a
        state-changing request that another site made with an admin's cookie, and
        :class:`StoreUnavailable` if the admins could not be read since the start.
        """
        if _bearer() is not None:
            return Identity(None) if bearer_is(self._token) else None
        ticket = read_session(self._clock.now_ms())
        admin = self._admin_cache.find(ticket.admin_id, ticket.epoch) if ticket else None
        if ticket is None or admin is None:
            return None
        require_own_origin(request)
        return Identity(admin, ticket.signed_at)

    def allows(self, identity: Identity) -> bool:
        """Whether ``identity`` still holds; needs no request, and no query of its own."""
        if identity.admin is None:
            return True
        if self._clock.now_ms() // 1000 - identity.signed_at >= LIFETIME_SECONDS:
            return False
        return self._admin_cache.find(identity.admin.id, identity.admin.session_epoch) is not None

    def admins_changed(self) -> None:
        """Let this worker see at once what it has changed; the others follow within 10 s."""
        self._admin_cache.forget()


def bearer_is(secret: str | None) -> bool:
    """Whether the request carries ``secret`` as its bearer token; without a secret: no."""
    sent = _bearer()
    if not secret or not sent:
        return False
    return hmac.compare_digest(sent.encode(), secret.encode())


def _bearer() -> str | None:
    """The bearer token that was sent, perhaps empty; read as it stands, for any characters."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def demand_admin() -> ResponseReturnValue | None:
    """None for an admin; else a page is sent to the sign-in, and an API call gets 401.

    Fit for ``before_request``.
    """
    identity = services().authenticator.identify()
    if identity is not None:
        g.identity = identity
        return None
    if request.path.startswith("/api/"):
        raise NotSignedIn("Sign in, or send the API token as a bearer token.")
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("signin.login", next=None if target == "/" else target))


def require_admin(view: Callable[P, R]) -> Callable[P, R]:
    """Let only admins (a session or the API token) reach ``view``."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        refusal = demand_admin()
        return view(*args, **kwargs) if refusal is None else cast("R", refusal)

    return guarded


def current_admin() -> Admin | None:
    """The signed-in admin behind a guarded view; None when it is a script with the token."""
    return cast("Identity", g.identity).admin


def require_session() -> Admin:
    """The signed-in admin; raises :class:`Forbidden` for the API token."""
    admin = current_admin()
    if admin is None:
        raise Forbidden("This needs an admin's own session, not the API token.")
    return admin


def admin_still_allowed() -> Callable[[], bool]:
    """A question that outlives the request: may whoever opened this stream still read it?"""
    identity = cast("Identity", g.identity)
    authenticator = services().authenticator
    return lambda: authenticator.allows(identity)
