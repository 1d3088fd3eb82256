"""The digest that stands for a forgotten account in the activity log."""

from __future__ import annotations

import hashlib
import hmac

DIGITS = 16


def account_digest(secret_key: str, account: str) -> str:
    """A keyed digest of an Instagram id. Without a key, an attacker could try all ids, because they
    are numbers."""
    mac = hmac.new(secret_key.encode(), f"account {account}".encode(), hashlib.sha256)
    return f"account {mac.hexdigest()[:DIGITS]}"
