"""An OpenID Connect provider, made of Authlib's own server: authorization code, PKCE, RS256."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, request
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from werkzeug.serving import make_server

CLIENT_ID = "dmstats"
CLIENT_SECRET = "client-secret-of-the-tests"
KEYS = [RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}) for kid in ("first", "second")]
PERSON: dict[str, Any] = {"sub": "person-1", "email": "Ada@Example.com", "email_verified": True}


class Client(ClientMixin):  # type: ignore[misc] # Authlib has no types
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/login/sso/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    user: dict[str, Any]
    max_age: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> None:
        return None

    get_acr = get_amr = get_auth_time


@dataclass
class Provider:
    """What it does next: ``person`` is who signs in, ``changed`` are claims that differ from the
    right ones (None leaves one out), ``signed_by`` the key; ``forged`` makes another ID token of
    the right one. ``userinfo`` is told there alone. It does not answer at the path ``hangs_at``
    until it ``goes_on``."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=lambda: dict(PERSON))
    changed: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    signed_by: RSAKey = field(default_factory=lambda: KEYS[0])
    algorithm: str = "RS256"
    forged: Callable[[str], str] | None = None
    published: list[RSAKey] = field(default_factory=lambda: [KEYS[0]])
    denies: bool = False
    status: int = 200
    hangs_at: str = ""
    goes_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, Code] = field(default_factory=dict)

    def app(self) -> Flask:
        app = Flask("provider")
        server = AuthorizationServer(app, lambda _: Client(), lambda *_: None)
        server.register_grant(self._grant(), [self._open_id(), CodeChallenge(required=True)])

        @app.before_request
        def note() -> Any:
            self.asked.append(request.path)
            if request.path == self.hangs_at:
                self.goes_on.wait(60)
            return ("no", self.status) if self.status != 200 else None

        @app.get("/.well-known/openid-configuration")
        def discovery() -> Any:
            return jsonify(
                {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "userinfo_endpoint": f"{self.url}/userinfo",
                    "jwks_uri": f"{self.url}/keys",
                    "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                    "code_challenge_methods_supported": ["S256"],
                    **self.metadata,
                }
            )

        @app.get("/keys")
        def keys() -> Any:
            return jsonify(KeySet([*self.published]).as_dict(private=False))

        @app.get("/authorize")
        def authorize() -> Any:
            user = None if self.denies else self.person
            grant = server.get_consent_grant(end_user=self.person)
            return server.create_authorization_response(grant_user=user, grant=grant)

        @app.post("/token")
        def token() -> Any:
            return server.create_token_response()

        @app.get("/userinfo")
        def userinfo() -> Any:
            return jsonify({"sub": self.person["sub"], **self.userinfo})

        return app

    def _grant(self) -> Any:
        codes = self.codes

        class Grant(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib has no types
            TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

            def save_authorization_code(self, code: str, asked: Any) -> None:
                sent = asked.payload.data
                codes[code] = Code(
                    asked.payload.redirect_uri,
                    asked.payload.scope,
                    sent["nonce"],
                    sent["code_challenge"],
                    sent["code_challenge_method"],
                    asked.user,
                    sent.get("max_age"),
                )

            def query_authorization_code(self, code: str, client: Any) -> Code | None:
                return codes.get(code)

            def delete_authorization_code(self, authorization_code: Code) -> None:
                for code in [each for each, known in codes.items() if known is authorization_code]:
                    del codes[code]

            def authenticate_user(self, authorization_code: Code) -> Any:
                return authorization_code.user

        return Grant

    def _open_id(self) -> Any:
        provider = self

        class OpenId(OpenIDCode):  # type: ignore[misc] # Authlib has no types
            def exists_nonce(self, nonce: str, asked: Any) -> bool:
                return any(code.nonce == nonce for code in provider.codes.values())

            def encode_id_token(self, token: Any, asked: Any) -> str:
                return provider.id_token(asked.authorization_code)

        return OpenId(require_nonce=True)

    def id_token(self, code: Code) -> str:
        now = int(time.time())
        right = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        right |= {"nonce": code.nonce, "auth_time": now if code.max_age else None}
        claims = {**right, **self.person, **self.changed}
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": self.signed_by.kid}
        right_token = jwt.encode(header, claims, self.signed_by, [self.algorithm])
        return self.forged(right_token) if self.forged else right_token


@contextmanager
def provider(tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """One that listens on this machine."""
    made = Provider()
    server = make_server("127.0.0.1", 0, made.app(), threaded=True, ssl_context=tls)
    made.url = f"http{'s' if tls else ''}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
