"""Protects text in CSV files from being read as a formula by a spreadsheet."""

from __future__ import annotations

import re
import unicodedata

FORMULA = re.compile(r"[\t\r]|[\s\0-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@]")
"""The first characters of formulas, after NFKC: some programs also accept full-width characters."""
ENDS = re.compile(r"([;\n\r\v\f\x85\u2028\u2029])")
"""Where a cell or line ends for a spreadsheet that expects semicolons: it ignores quotes that do
not begin a cell."""


def spreadsheet_text(value: str) -> str:
    """``value`` with a ``'`` before everything that a spreadsheet would read as a formula."""
    first, *rest = ENDS.split(value)
    guarded = first + "".join(f"'{part}" if _is_formula(part) else part for part in rest)
    return f"'{guarded}" if _is_formula(value) else guarded


def _is_formula(text: str) -> bool:
    return FORMULA.match(unicodedata.normalize("NFKC", text)) is not None
