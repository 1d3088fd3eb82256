"""The discovery document of an OpenID Connect provider: fetched and checked."""

from __future__ import annotations

from typing import Any

import msgspec
from urllib3 import Timeout
from urllib3.exceptions import HTTPError

from dmstats.core.errors import plain_reason
from dmstats.core.sso_setting_types import issuer as safe_address
from dmstats.ops.findings import Finding, failed, passed
from dmstats.ops.outgoing import pool_for

CHECK = "single sign-on"
PATH = "/.well-known/openid-configuration"
SECONDS = 5.0
MAX_BYTES = 256 * 1024
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "EdDSA", "Ed25519")  # fmt: skip
"""Signatures by the provider's private key. The others (``none``, and HMAC by the client secret)
prove less, and are never accepted."""

USERINFO = "userinfo_endpoint"
"""The one end point that a provider may lack."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", USERINFO)
NAMES_ITSELF = "authorization_response_iss_parameter_supported"
"""Whether each answer names its issuer (RFC 9207)."""

Metadata = dict[str, Any]


class DiscoveryFailed(Exception):
    """The provider does not answer, or its answer lacks something; the text describes the
    problem."""


def discover(issuer: str) -> Metadata:
    """The provider's metadata, of which ``issuer``, the end points and the algorithms are checked.

    Takes at most ``SECONDS`` for each step of the connection. Raises :class:`DiscoveryFailed`.
    """
    found = _fetch(issuer.rstrip("/") + PATH)
    if found.get("issuer") != issuer:
        raise DiscoveryFailed(f"its issuer is {found.get('issuer')!r}, not {issuer!r}")
    for name in ENDPOINTS:
        if name == USERINFO and found.get(name) is None:
            continue
        try:
            safe_address(str(found.get(name)).partition("?")[0])
        except ValueError:
            raise DiscoveryFailed(f"its {name} is not an https:// address") from None
    offered = found.get("id_token_signing_alg_values_supported")
    algorithms = [each for each in ALGORITHMS if isinstance(offered, list) and each in offered]
    if not algorithms:
        raise DiscoveryFailed(
            "it supports none of the signature algorithms " + ", ".join(ALGORITHMS)
        )
    methods = found.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" not in methods:
        raise DiscoveryFailed("it does not support PKCE with S256")
    used = {name: found[name] for name in ("issuer", *ENDPOINTS, NAMES_ITSELF) if name in found}
    return {**used, "id_token_signing_alg_values_supported": algorithms}


def probe_provider(issuer: str) -> Finding:
    """Check the provider's discovery document and keys."""
    remedy = (
        "Compare DMSTATS_OIDC_ISSUER with the issuer that the provider shows, including a trailing "
        "slash, and check DNS, firewall and TLS certificate. Until then, people sign in with their "
        "passwords."
    )
    try:
        metadata = discover(issuer)
        keys = _fetch(metadata["jwks_uri"]).get("keys")
    except DiscoveryFailed as error:
        return failed(CHECK, f"{issuer}: {error}", remedy)
    if not keys or not isinstance(keys, list):
        return failed(CHECK, f"{issuer}: it has no keys at {metadata['jwks_uri']}", remedy)
    return passed(CHECK, f"{issuer} answers, with {len(keys)} keys")


def _fetch(url: str) -> Metadata:
    limit = Timeout(connect=SECONDS, read=SECONDS, total=SECONDS)
    try:
        with pool_for(url, retries=False, timeout=limit) as http:
            answer = http.request("GET", url, redirect=False, preload_content=False)
            if answer.status != 200:
                raise DiscoveryFailed(f"{url} answers with {answer.status}")
            found = msgspec.json.decode(answer.read(MAX_BYTES))
    except HTTPError as error:
        raise DiscoveryFailed(f"{url} does not answer: {plain_reason(error)}") from None
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise DiscoveryFailed(f"{url} does not answer with a JSON object")
    return found
