from __future__ import annotations

import statistics
import time

import argon2
import pytest

from dmstats.core.errors import BadRequest
from dmstats.db.admins.passwords import Passwords, generated
from dmstats.web.auth.threadpool import in_thread_pool

CHEAP = argon2.PasswordHasher.from_parameters(argon2.profiles.CHEAPEST)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(CHEAP)


def test_it_works(passwords: Passwords) -> None:
    known = passwords.hash("correct horse")
    assert known.startswith("$argon2id$")
    assert passwords.matches("correct horse", known)
    assert not passwords.matches("correct horsf", known)
    assert not passwords.matches("correct horse", None)


def test_by_default_as_rfc_9106_recommends() -> None:
    known = Passwords().hash("correct horse")
    assert "m=65536,t=3,p=4" in known


def test_one_password_however_it_is_typed(passwords: Passwords) -> None:
    known = passwords.hash("caf\u00e9 \u2160\u2161\u2162 abc")
    assert passwords.matches("cafe\u0301 IIIIII abc", known)


@pytest.mark.parametrize(
    "password",
    [
        *("", "1234567", "2 short", "123456789", "aaaaaaaaaa", "abcabcabcabc", "x" * 1025),
        *("\ud800" * 12, "password1", "PassWord1", "football1", "iloveyou", "\uff50assword1"),
    ],
)
def test_what_is_no_password(passwords: Passwords, password: str) -> None:
    with pytest.raises(BadRequest):
        passwords.hash(password)
    assert not passwords.matches(password, passwords.hash("correct horse"))


@pytest.mark.parametrize(
    "password",
    [
        *("8 chars!", "onlylowercaseletters", "2837465019", "éèêëïîôû", "z" + "xy" * 511),
        "correct horse battery staple and a good deal more than sixty-four characters",
    ],
)
def test_length_and_the_common_ones_are_all_that_is_asked(
    passwords: Passwords, password: str
) -> None:
    assert passwords.matches(password, passwords.hash(password))


@pytest.mark.parametrize("known", ["", "plain", "$argon2id$broken"])
def test_a_broken_hash_matches_nothing(passwords: Passwords, known: str) -> None:
    assert not passwords.matches("plain", known)


def test_other_parameters_are_outdated(passwords: Passwords) -> None:
    known = passwords.hash("correct horse")
    assert not passwords.outdated(known)
    assert Passwords().outdated(known)


def test_an_unknown_account_takes_as_long() -> None:
    passwords = Passwords(argon2.PasswordHasher(time_cost=2, memory_cost=8192, parallelism=1))
    known = passwords.hash("correct horse")

    def median(against: str | None) -> float:
        times = []
        for _ in range(9):
            start = time.thread_time()
            passwords.matches("wrong password", against)
            times.append(time.thread_time() - start)
        return statistics.median(times)

    ratio = median(None) / median(known)
    assert 0.4 < ratio < 2.5, "a missing hash alone would be a thousandth"


def test_off_the_event_loop() -> None:
    passwords = Passwords(CHEAP, run=in_thread_pool)
    known = passwords.hash("correct horse")
    assert passwords.matches("correct horse", known)
    assert not passwords.matches("wrong password", known)


def test_generated_passwords_are_acceptable(passwords: Passwords) -> None:
    made = {generated() for _ in range(20)}
    assert min(map(len, made)) >= 20
    assert len(made) == 20
    first = made.pop()
    assert passwords.matches(first, passwords.hash(first))
