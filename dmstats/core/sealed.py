"""Seals secrets that are stored: AES-256-GCM with a key derived from ``SECRET_KEY``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from functools import cache, cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "sealed1:"
"""The prefix of every sealed text; our plain secrets contain no colon."""
NONCE_BYTES = 12


class Unsealable(ValueError):
    """The text was sealed with another ``SECRET_KEY``, for another purpose, or was changed."""


@cache
def _key(secret_key: str, purpose: str) -> bytes:
    # Deliberately slow (about 50 ms, once per process): a person may have chosen the secret.
    salt = f"dmstats {purpose}".encode()
    return hashlib.scrypt(secret_key.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


class Sealer:
    """Seals and opens short texts. Each ``purpose`` has a key of its own, derived from the same
    ``secret_key``."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        self._secret_key = secret_key
        self._purpose = purpose

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(_key(self._secret_key, self._purpose))

    def seal(self, text: str, owner: str) -> str:
        """Seal ``text`` so that it can only be opened for the same ``owner``."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), owner.encode())
        return PREFIX + base64.b64encode(sealed).decode()

    def open(self, stored: str, owner: str) -> str:
        """The text in ``stored``; a text that an earlier release stored unsealed is returned
        unchanged. Raises :class:`Unsealable`."""
        if not is_sealed(stored):
            return stored
        try:
            sealed = base64.b64decode(stored.removeprefix(PREFIX), validate=True)
            nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return self._cipher.decrypt(nonce, content, owner.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise Unsealable("encrypted with a different SECRET_KEY, or damaged") from None


def is_sealed(stored: str) -> bool:
    """Whether ``stored`` is a sealed text."""
    return stored.startswith(PREFIX)
