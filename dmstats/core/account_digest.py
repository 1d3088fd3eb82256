"""What the activity log calls an account that it must not name."""

from __future__ import annotations

import hashlib
import hmac

DIGITS = 16


def account_digest(secret_key: str, account: str) -> str:
    """A keyed digest of an Instagram id: ids are numbers, and without a key could be tried out."""
    mac = hmac.new(secret_key.encode(), f"account {account}".encode(), hashlib.sha256)
    return f"account {mac.hexdigest()[:DIGITS]}"
