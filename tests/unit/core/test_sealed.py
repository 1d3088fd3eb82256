"""Secrets are sealed: readable with the same key, purpose and owner only."""

from __future__ import annotations

import pytest

from dmstats.core.sealed import PREFIX, Sealer, Unsealable, is_sealed

KEY = "secret key of the test"


def test_it_works() -> None:
    sealer = Sealer(KEY, "tests")
    stored = sealer.seal("JBSWY3DP", "ada")
    assert is_sealed(stored)
    assert "JBSWY3DP" not in stored
    assert Sealer(KEY, "tests").open(stored, "ada") == "JBSWY3DP"
    assert sealer.seal("JBSWY3DP", "ada") != stored, "a nonce of its own"


def test_what_was_never_sealed_is_read_as_it_is() -> None:
    assert Sealer(KEY, "tests").open("JBSWY3DP", "ada") == "JBSWY3DP"


@pytest.mark.parametrize(
    ("key", "purpose", "owner"),
    [("another key", "tests", "ada"), (KEY, "others", "ada"), (KEY, "tests", "grace")],
)
def test_nothing_else_opens_it(key: str, purpose: str, owner: str) -> None:
    stored = Sealer(KEY, "tests").seal("JBSWY3DP", "ada")
    with pytest.raises(Unsealable):
        Sealer(key, purpose).open(stored, owner)


def test_what_was_changed() -> None:
    sealer = Sealer(KEY, "tests")
    stored = sealer.seal("JBSWY3DP", "ada")
    changed = stored[:-5] + ("A" if stored[-5] != "A" else "B") + stored[-4:]
    for text in (changed, PREFIX, PREFIX + "!", PREFIX + "AAAA", stored[:-8], PREFIX + "é"):
        with pytest.raises(Unsealable):
            sealer.open(text, "ada")
