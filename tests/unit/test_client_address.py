from __future__ import annotations

import pytest

from dmstats.web.auth.client_address import UNKNOWN, place_of


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51234", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::"),
        ("2001:db8::ffff:2", "2001:db8::"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("[2001:db8::1]", "2001:db8::"),
        ("[2001:db8::1]:443", "2001:db8::"),
        ("fe80::1%eth0", "fe80::"),
        ("[fe80::1%25eth0]:80", "fe80::"),
        ("::1", "::"),
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("  ", UNKNOWN),
    ],
)
def test_it_works(text: str | None, place: str) -> None:
    assert place_of(text) == place


def test_what_is_no_address_is_a_place_of_its_own_whatever_its_port() -> None:
    odd = {place_of(text) for text in ("a.example:80", "a.example:81", "a.example")}
    assert len(odd) == 1
    others = {place_of(text) for text in ("b.example", "1.2.3", "unknown", "\ud800", "[x]:1")}
    assert len(others | odd) == 6
    assert all(len(place) < 50 for place in others)
