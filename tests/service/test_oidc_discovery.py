"""What `dmstats doctor` says about the provider of single sign-on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dmstats.ops.findings import Verdict
from dmstats.ops.oidc_discovery import discover, probe_provider
from tests.provider import KEYS, Provider
from tests.provider import provider as started


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with started() as made:
        yield made


def test_it_works(provider: Provider) -> None:
    found = probe_provider(provider.url)
    assert found.verdict is Verdict.OK
    assert found.found == f"{provider.url} answers, with 1 keys"
    assert discover(provider.url)["id_token_signing_alg_values_supported"] == ["RS256"]


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({"issuer": "https://elsewhere.example"}, "issuer is 'https://elsewhere.example'"),
        ({"issuer": None}, "issuer is None"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "token_endpoint is not an https://"),
        ({"userinfo_endpoint": "http://elsewhere.example/me"}, "userinfo_endpoint is not an http"),
        ({"jwks_uri": None}, "jwks_uri is not an https://"),
        (
            {"id_token_signing_alg_values_supported": ["HS256", "none"]},
            "none of the signature algorithms RS256",
        ),
        ({"id_token_signing_alg_values_supported": None}, "none of the signature algorithms RS256"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE with S256"),
    ],
)
def test_what_is_wrong_with_it(provider: Provider, metadata: dict[str, Any], told: str) -> None:
    provider.metadata = metadata
    try:
        found = probe_provider(provider.url)
    finally:
        provider.metadata = {}
    assert found.verdict is Verdict.FAILURE
    assert told in found.found
    assert "DMSTATS_OIDC_ISSUER" in found.remedy


def test_without_keys(provider: Provider) -> None:
    provider.published = []
    try:
        assert "no keys" in probe_provider(provider.url).found
    finally:
        provider.published = [KEYS[0]]


def test_another_answer(provider: Provider) -> None:
    provider.status = 404
    try:
        assert "answers with 404" in probe_provider(provider.url).found
    finally:
        provider.status = 200


def test_none_at_all() -> None:
    found = probe_provider("http://127.0.0.1:1")
    assert (found.verdict, found.found.rpartition(": ")[2]) == (
        Verdict.FAILURE, "connection refused",
    )  # fmt: skip
