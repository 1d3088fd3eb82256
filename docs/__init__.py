"""The documentation; `python -m docs` writes the pages that follow from the code."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
NOTICE = "<!-- Written by `make docs` from the code: change it there. -->"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
