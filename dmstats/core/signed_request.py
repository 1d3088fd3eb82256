"""Meta's ``signed_request``: a signature and a JSON payload, both in base64url; pure.

``<signature>.<payload>``, where the signature is the HMAC-SHA256 of the encoded payload, keyed with
the app's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

import msgspec

from dmstats.core.clock import EpochMs
from dmstats.core.errors import BadRequest

ALGORITHM = "HMAC-SHA256"
MAX_LENGTH = 8_192
LATEST_SECONDS = 10**11


class UserRequest(msgspec.Struct, frozen=True):
    """The content of a verified request: the user's id in this app, and when it was issued (ms
    since the epoch, None if missing)."""

    user_id: str
    issued_ms: EpochMs | None


class _Payload(msgspec.Struct):
    algorithm: str
    user_id: str | int
    issued_at: float | None = None


def read_signed_request(text: str, secrets: Iterable[str]) -> UserRequest:
    """Verify ``text`` with any of the app's ``secrets``, in constant time, and read it.

    Raises :class:`BadRequest`; its text contains nothing of the request.
    """
    signature, _, payload = text.partition(".")
    if not payload or len(text) > MAX_LENGTH or not text.isascii():
        raise BadRequest("Send Meta's signed_request.")
    sent = _decoded(signature)
    macs = [hmac.digest(secret.encode(), payload.encode(), hashlib.sha256) for secret in secrets]
    if True not in [hmac.compare_digest(mac, sent) for mac in macs]:
        raise BadRequest("The signature of signed_request matches no app secret.")
    try:
        found = msgspec.json.decode(_decoded(payload), type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("The payload of signed_request cannot be read.") from None
    if found.algorithm.upper() != ALGORITHM or not str(found.user_id):
        raise BadRequest(f"signed_request must use {ALGORITHM} and name a user_id.")
    seconds = found.issued_at
    issued_ms = round(seconds * 1000) if seconds and 0 < seconds < LATEST_SECONDS else None
    return UserRequest(str(found.user_id), issued_ms)


def _decoded(text: str) -> bytes:
    """base64url as Meta sends it, without padding."""
    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError:
        raise BadRequest("signed_request is not base64url.") from None
