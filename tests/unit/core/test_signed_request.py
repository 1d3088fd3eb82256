"""Meta's signed requests: what is accepted, and what is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from dmstats.core.errors import BadRequest
from dmstats.core.signed_request import UserRequest, read_signed_request

SECRETS = ("app-secret-of-the-test", "another-secret")


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def signed(payload: Any, secret: str = SECRETS[0]) -> str:
    text = encoded(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    return f"{encoded(hmac.digest(secret.encode(), text.encode(), hashlib.sha256))}.{text}"


GOOD = {"user_id": "218471", "algorithm": "HMAC-SHA256", "issued_at": 1291836800}


def test_it_works() -> None:
    assert read_signed_request(signed(GOOD), SECRETS) == UserRequest("218471", 1291836800_000)


def test_the_example_of_metas_documentation_s_shape() -> None:
    """A payload with more fields, a number as id, padding, and no time."""
    payload = {"oauth_token": "x", "algorithm": "hmac-sha256", "expires": 1, "user_id": 218471}
    text = signed(payload, SECRETS[1])
    assert read_signed_request(text, SECRETS) == UserRequest("218471", None)
    signature, _, content = text.partition(".")
    padded = f"{signature}=.{content}"
    assert read_signed_request(padded, SECRETS) == UserRequest("218471", None)


@pytest.mark.parametrize("issued", [0, -1, 1e300, 10**12])
def test_a_time_that_cannot_be(issued: float) -> None:
    assert read_signed_request(signed(GOOD | {"issued_at": issued}), SECRETS).issued_ms is None


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "x", "x.", ".x", "a.b.c", "é.é", "****.****", "A" * 9000 + ".x",
        signed(GOOD, "wrong"),
        signed(GOOD) + "x",
        "." + signed(GOOD).partition(".")[2],
        signed(b"{"), signed(b"\xff"), signed([]), signed({}), signed(b"[" * 5000),
        signed(GOOD | {"algorithm": "none"}), signed(GOOD | {"user_id": ""}),
        signed(GOOD | {"user_id": None}), signed({"user_id": "1"}),
    ],
    ids=lambda text: text[-30:],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_signed_request(text, SECRETS)
    assert "218471" not in str(refused.value)


def test_without_a_secret_nothing_is_accepted() -> None:
    with pytest.raises(BadRequest):
        read_signed_request(signed(GOOD, ""), ())
