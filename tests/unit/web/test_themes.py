"""The dark colours stand twice in the style sheet: by choice, and by the system."""

from __future__ import annotations

import re
from pathlib import Path

TOKENS = Path(__file__).parents[3] / "static" / "css" / "tokens.css"
CHOSEN = re.compile(r':root\[data-theme="dark"\] \{(.*?)\}', re.DOTALL)
SYSTEMS = re.compile(
    r"@media \(prefers-color-scheme: dark\) \{\s*:root:not\(\[data-theme\]\) \{(.*?)\}", re.DOTALL
)


def test_both_are_the_same() -> None:
    sheet = TOKENS.read_text(encoding="utf-8")
    chosen, systems = CHOSEN.search(sheet), SYSTEMS.search(sheet)
    assert chosen
    assert systems
    colours = {line.strip() for line in systems[1].splitlines() if line.strip()}
    assert len(colours) > 20
    assert {line.strip() for line in chosen[1].splitlines() if line.strip()} == colours | {
        "color-scheme: dark;"
    }
