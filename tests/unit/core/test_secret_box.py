"""What is sealed is read again with the same key only."""

from __future__ import annotations

import pytest

from dmstats.core import secret_box

KEY = "k" * 32


def test_it_works() -> None:
    sealed = secret_box.seal(KEY, "slack://a/b/ü")
    assert secret_box.open(KEY, sealed) == "slack://a/b/ü"
    assert "slack" not in sealed
    assert secret_box.seal(KEY, "slack://a/b/ü") != sealed


@pytest.mark.parametrize("sealed", ["", "x", "gAAAA", secret_box.seal("l" * 32, "text")])
def test_anything_else_is_refused(sealed: str) -> None:
    with pytest.raises(ValueError, match="sealed with another key"):
        secret_box.open(KEY, sealed)


def test_a_change_is_noticed() -> None:
    sealed = secret_box.seal(KEY, "text")
    changed = sealed[:-5] + ("A" if sealed[-5] != "A" else "B") + sealed[-4:]
    with pytest.raises(ValueError, match="sealed with another key"):
        secret_box.open(KEY, changed)
