"""Argon2 hashes of the admins' passwords: a few at a time, and never on the event loop."""

from __future__ import annotations

import base64
import functools
import re
import secrets
import threading
import unicodedata
from collections.abc import Callable
from typing import Protocol, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dmstats.core.errors import BadRequest

T = TypeVar("T")

MIN_LENGTH = 8
MAX_LENGTH = 1024
COMMON = "This password is too common. Choose another one, for example several words."
REPEATED = re.compile(r"(.{1,4}?)\1+", re.DOTALL)
"""One to four characters, repeated: no list contains all of these."""

AT_ONCE = 2
"""Each hash needs 64 MiB while it runs; this limits the memory of a burst of sign-ins."""


class Runner(Protocol):
    """Runs a hash computation; the web application passes one that does not block the event
    loop."""

    def __call__(self, work: Callable[[], T], /) -> T: ...


def inline(work: Callable[[], T], /) -> T:
    """Compute in the calling thread, for commands."""
    return work()


class Passwords:
    """Hashes and checks passwords, normalised with NFKC, so that they match on any keyboard."""

    def __init__(self, hasher: PasswordHasher | None = None, *, run: Runner = inline) -> None:
        self._hasher = hasher or PasswordHasher()
        self._run = run
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._decoy = _decoy(self._hasher)

    def hash(self, password: str) -> str:
        """The encoded hash; raises :class:`BadRequest` for a password that is too weak."""
        normal = acceptable(password)
        with self._slots:
            return self._run(lambda: self._hasher.hash(normal))

    def matches(self, password: str, known: str | None) -> bool:
        """Whether ``password`` matches the hash ``known``.

        Without a known hash the answer is no after the same work, so that the time does not reveal
        whether an account exists.
        """
        # Lone surrogates (JSON can carry them) have no UTF-8 form; no stored password has any.
        normal = unicodedata.normalize("NFKC", password).encode("utf-8", "replace")
        with self._slots:
            same = self._run(lambda: _verify(self._hasher, known or self._decoy, normal))
        return same and known is not None

    def outdated(self, known: str) -> bool:
        """Whether ``known`` was made with different parameters than the current ones."""
        return self._hasher.check_needs_rehash(known)


def acceptable(password: str) -> str:
    """The password in its normal form; raises :class:`BadRequest` when it is not acceptable.

    As NIST SP 800-63B recommends: long enough, and not a common one. There are no composition
    rules.
    """
    normal = unicodedata.normalize("NFKC", password)
    if len(normal) < MIN_LENGTH:
        raise BadRequest(f"A password needs at least {MIN_LENGTH} characters.")
    if len(normal) > MAX_LENGTH:
        raise BadRequest(f"A password may have at most {MAX_LENGTH} characters.")
    if REPEATED.fullmatch(normal) or normal.casefold() in _common():
        raise BadRequest(COMMON)
    try:
        normal.encode()
    except UnicodeEncodeError:
        raise BadRequest("The password contains characters that are not text.") from None
    return normal


@functools.cache
def _common() -> frozenset[str]:
    # Imported here because the module is large, and most processes never set a password.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_LENGTH)


def generated() -> str:
    """A new random password of 20 characters (120 bits)."""
    return secrets.token_urlsafe(15)


def _verify(hasher: PasswordHasher, known: str, password: bytes) -> bool:
    # Caught inside the work: gevent's thread pool prints every exception that crosses it.
    try:
        return hasher.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False


def _decoy(hasher: PasswordHasher) -> str:
    """A well-formed hash of no password, with the parameters (and so the cost) of a real one."""

    def part(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")

    return (
        f"$argon2{hasher.type.name.lower()}$v=19$m={hasher.memory_cost},t={hasher.time_cost}"
        f",p={hasher.parallelism}${part(hasher.salt_len)}${part(hasher.hash_len)}"
    )
