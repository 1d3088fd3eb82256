"""Forms that scripts handle cannot be sent before the scripts listen."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "static"
VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Forms(HTMLParser):
    """The ids of forms that a reader can send at once, although no route takes what they send."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._away: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        away = bool({"hidden", "inert"} & names.keys()) or any(self._away)
        if tag not in VOID:
            self._away.append(away)
        if tag == "form" and not away and "method" not in names and names.get("role") != "search":
            self.found.append(str(names.get("id")))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._away:
            self._away.pop()


def sendable(text: str) -> list[str]:
    forms = Forms()
    forms.feed(text)
    return forms.found


@pytest.mark.parametrize("page", sorted(STATIC.glob("*.html")), ids=lambda page: page.name)
def test_a_form_without_a_route_waits_for_its_script(page: Path) -> None:
    assert sendable(page.read_text()) == []


def test_one_that_does_not_is_found() -> None:
    assert sendable('<div><form id="add"><input></form></div><form inert></form>') == ["add"]
    assert sendable('<section hidden><br><form id="edit"></form></section>') == []
