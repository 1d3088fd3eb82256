"""The documents that the passes have seen, against plain sets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmstats.states.known import DIGEST_BYTES, KnownDocuments


def digest(n: int) -> bytes:
    """Many fall into the same bucket."""
    return (n << 16).to_bytes(DIGEST_BYTES, "little")


def test_it_works() -> None:
    known = KnownDocuments()
    assert known.unknown([digest(1), digest(2)]) == [0, 1]
    known.add(digest(1), 10)
    known.add(digest(2), -(2**63))
    known.begin()
    assert known.unknown([digest(3), digest(2)]) == [0]
    assert known.is_met(digest(2))
    assert not known.is_met(digest(1))
    assert [known.number_of(digest(n)) for n in (1, 2, 3)] == [10, -(2**63), None]
    assert known.forget_others() == [digest(1)]
    assert [known.number_of(digest(n)) for n in (1, 2, 3)] == [None, -(2**63), None]
    assert known.unknown([digest(1), digest(2)]) == [0]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["meet", "add", "discard", "turn"]), st.integers(0, 30)),
        max_size=60,
    )
)
def test_it_is_a_set(steps: list[tuple[str, int]]) -> None:
    known, plain, met = KnownDocuments(), set[int](), set[int]()
    known.begin()
    for step, n in steps:
        if step == "meet":
            assert known.unknown([digest(n)]) == ([] if n in plain else [0])
            met |= {n} & plain
        elif step == "add":
            known.add(digest(n), n + len(steps))
            plain.add(n)
            met.add(n)
        elif step == "discard":
            known.discard(digest(n))
            plain.discard(n)
            met.discard(n)
        else:
            assert sorted(known.forget_others()) == sorted(map(digest, plain - met))
            plain, met = met, set()
            known.begin()
        assert all(known.is_met(digest(each)) == (each in met) for each in range(31))
        for each in range(31):
            number = each + len(steps) if each in plain else None
            assert known.number_of(digest(each)) == number


def test_digests_that_something_else_has_stored() -> None:
    known = KnownDocuments()
    for odd in (b"", b"x", b"x" * 100):
        known.discard(odd)
        assert not known.is_met(odd)
