"""Signing in by an OpenID Connect provider: authorization code with PKCE, state and nonce.

Authlib does the protocol. While the provider is away only its own sign-ins fail, within seconds:
each wait is a greenlet's.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gevent
import requests
from authlib.integrations.base_client import MismatchingStateError, OAuthError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import request, session
from joserfc.errors import JoseError
from requests.adapters import HTTPAdapter

from dmstats.core.clock import Clock
from dmstats.core.errors import Forbidden, NothingBegun, NotSignedIn, Unavailable, plain_reason
from dmstats.core.settings import Settings
from dmstats.ops.oidc_discovery import NAMES_ITSELF, SECONDS, DiscoveryFailed, discover
from dmstats.web.auth.claims import claim

logger = logging.getLogger(__name__)

NAME = "oidc"
FRESH_SECONDS = 3600.0
"""So long the discovery document and the keys are kept. An unknown key is looked for at once."""

RETRY_SECONDS = 5.0
"""So long after a failure no sign-in waits for the provider again."""

MAX_SECONDS = 15.0
"""For all that the provider is asked at the end of a sign-in."""

LEEWAY_SECONDS = 60
"""How much the provider's clock may differ."""

EMAIL = ("email", "email_verified")
"""The claims of one's address."""

STATE_SECONDS = 15 * 60
"""How long a person may take at the provider."""

BEGIN_AGAIN = "The sign-in took too long, or was started in another browser. Please start again."


class ProviderAway(Unavailable):
    """The provider does not answer, or not as it must."""

    title = "Single sign-on not available"
    retry_after = RETRY_SECONDS


class _MachinesCertificates(HTTPAdapter):
    """Trusts what this machine trusts, a company's own authority among it, as other requests of
    dmstats do, instead of the list that comes with the library."""

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn, url, verify, cert)
        conn.ca_certs = None


class _Session(OAuth2Session):  # type: ignore[misc] # Authlib has no types
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mount("https://", _MachinesCertificates())


class _Client(FlaskOAuth2App):  # type: ignore[misc] # Authlib has no types
    client_cls = _Session


@dataclass(frozen=True, slots=True)
class Answer:
    """The verified claims of a sign-in; ``target`` is the page to open afterwards. ``asked_ms`` (ms
    since the epoch) is when the provider last asked the person to sign in, by the ID token; None if
    it is missing."""

    claims: Mapping[str, Any]
    target: str | None
    asked_ms: int | None


class OidcClient:
    """One per worker; does no IO before the first sign-in."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client: FlaskOAuth2App | None = None
        self._until = -math.inf
        self._retry_at = -math.inf
        self._failure = ""
        self._discovering = threading.Lock()

    def begin(self, callback: str, target: str, *, fresh: bool = False) -> str:
        """The provider's address to which the browser is sent; it comes back to ``callback``.

        ``fresh``: the provider is to ask the person, even if its own session would do.

        Raises :class:`ProviderAway`.
        """
        client = self._fresh()
        # Those that were not finished: they would fill the cookie.
        for key in [key for key in session if key.startswith(f"_state_{NAME}")]:
            session.pop(key)
        # With max_age, a provider must send auth_time, the time when it authenticated the person.
        asking = {"prompt": "login", "max_age": "0"} if fresh else {}
        made = client.create_authorization_url(callback, **asking)
        address: str = made.pop("url")
        session.permanent = True
        began = self._clock.now_ms()
        client.save_authorize_data(redirect_uri=callback, target=target, began=began, **made)
        return address

    def finish(self) -> Answer:
        """What the provider answers to the code that the browser has brought from it.

        Raises :class:`NothingBegun`, :class:`NotSignedIn`, :class:`Forbidden` or
        :class:`ProviderAway`.
        """
        client = self._fresh()
        state = client.framework.get_state_data(session, request.args.get("state")) or {}
        began = state.get("began")
        # Authlib reads no end of a state that it keeps in the cookie.
        if not isinstance(began, int) or self._clock.now_ms() - began > STATE_SECONDS * 1000:
            raise NothingBegun(BEGIN_AGAIN)
        self._require_issuer(client)
        with self._explained(), _at_most(MAX_SECONDS):
            token = client.authorize_access_token(
                leeway=LEEWAY_SECONDS,
                claims_options={
                    "iss": {"essential": True, "value": self._settings.oidc_issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
            )
            claims = token.get("userinfo")
            if not claims:
                raise OAuthError(error="no_id_token")
            told = self._completed(client, token, dict(claims))
            return Answer(told, state.get("target"), self._asked_ms(claims.get("auth_time")))

    def _require_issuer(self, client: FlaskOAuth2App) -> None:
        """Refuse an answer that names another issuer, or none although the provider always names
        itself: another provider's code must not be sent to this one (RFC 9207)."""
        named = request.args.get("iss")
        always = client.server_metadata.get(NAMES_ITSELF)
        if named != self._settings.oidc_issuer and (named is not None or always is True):
            raise self._refused("another_issuer")

    def _asked_ms(self, auth_time: object) -> int | None:
        """The claim ``auth_time`` (s since the epoch); None for what is no such time."""
        if isinstance(auth_time, bool) or not isinstance(auth_time, int | float):
            return None
        now = self._clock.now_ms()
        if not 0 < auth_time <= now / 1000 + LEEWAY_SECONDS:
            return None
        return min(int(auth_time * 1000), now)

    def _completed(
        self, client: FlaskOAuth2App, token: Mapping[str, Any], claims: dict[str, Any]
    ) -> Mapping[str, Any]:
        """Add claims that some providers only return from their userinfo endpoint.

        The email and its verification come from the same answer, because the answers may contain
        different emails.
        """
        wanted = [*EMAIL, *filter(None, [self._settings.oidc_role_claim])]
        complete = all(claim(claims, name) is not None for name in wanted)
        if complete or not client.server_metadata.get("userinfo_endpoint"):
            return claims
        more = client.userinfo(token=token)
        if more.get("sub") != claims.get("sub"):
            raise OAuthError(error="another_subject")
        in_token = all(claims.get(name) is not None for name in EMAIL)
        source = claims if in_token or more.get("email") is None else more
        return {**more, **claims, **{name: source.get(name) for name in EMAIL}}

    def _fresh(self) -> FlaskOAuth2App:
        with self._discovering:
            now = self._clock.monotonic()
            if self._client is not None and now < self._until:
                return self._client
            if now < self._retry_at:
                raise self._away(self._failure)
            try:
                with _at_most(2 * SECONDS):
                    metadata = discover(self._settings.oidc_issuer or "")
            except (DiscoveryFailed, gevent.Timeout) as error:
                self._failure = str(error)
                self._retry_at = self._clock.monotonic() + RETRY_SECONDS
                raise self._away(self._failure) from None
            self._client = self._made(metadata)
            self._until = now + FRESH_SECONDS
            return self._client

    def _made(self, metadata: Mapping[str, Any]) -> FlaskOAuth2App:
        framework = FlaskIntegration(NAME)
        framework.expires_in = STATE_SECONDS
        return _Client(
            framework,
            NAME,
            client_id=self._settings.oidc_client_id,
            client_secret=self._settings.oidc_client_secret,
            client_kwargs={
                "scope": self._settings.oidc_scopes,
                "code_challenge_method": "S256",
                "default_timeout": SECONDS,
            },
            **metadata,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors in words; what was wrong exactly is in the log, without any secret."""
        name = self._settings.oidc_name
        try:
            yield
        except MismatchingStateError:
            raise NotSignedIn(BEGIN_AGAIN) from None
        except OAuthError as error:
            if error.error == "access_denied":
                raise Forbidden(f"{name} refused the sign-in, or you cancelled it.") from None
            raise self._refused(error.error or "error") from None
        except JoseError as error:
            raise self._refused(error.error) from None
        except (requests.RequestException, gevent.Timeout) as error:
            raise self._away(plain_reason(error)) from None
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            # An answer that is no JSON, or lacks what the protocol demands.
            raise self._refused(type(error).__name__) from None

    def _refused(self, why: str) -> NotSignedIn:
        logger.warning("sso_answer_refused", extra={"error": why})
        return NotSignedIn(
            f"The answer of {self._settings.oidc_name} could not be verified. Please start "
            "again. If that does not help, ask an admin to check the log."
        )

    def _away(self, why: str) -> ProviderAway:
        logger.warning("sso_provider_unavailable", extra={"error": why})
        return ProviderAway(
            f"Signing in with {self._settings.oidc_name} is not possible right now. Try again in a "
            "moment, or use your password."
        )


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise ``gevent.Timeout`` after that: each single wait is limited, but a provider may send
    byte by byte."""
    with gevent.Timeout(seconds):
        yield
