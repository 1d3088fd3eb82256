"""Encrypts secrets that have to be stored and read again, with a key derived from SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PURPOSE = b"dmstats secret box"
"""Sessions are signed with SECRET_KEY, too: no key serves two purposes."""


def seal(key: str, text: str) -> str:
    """``text`` encrypted and authenticated; ``key`` is SECRET_KEY."""
    return _box(key).encrypt(text.encode()).decode()


def open(key: str, sealed: str) -> str:  # noqa: A001 - always called as secret_box.open
    """What was sealed. Raises ``ValueError`` if it was sealed with another key, or was changed."""
    try:
        return _box(key).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise ValueError("sealed with another key") from None


def _box(key: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
