"""Text in CSV files that a spreadsheet must not take for a formula."""

from __future__ import annotations

import re
import unicodedata

FORMULA = re.compile(r"[\t\r]|[\s\0-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@]")
"""How a formula begins, after NFKC: some programs take the full-width signs, too."""
ENDS = re.compile(r"([;\n\r\v\f\x85\u2028\u2029])")
"""Where a cell or a line ends for a spreadsheet that expects semicolons: to it, quotes that do not
begin its cell protect nothing."""


def spreadsheet_text(value: str) -> str:
    """``value`` with a ``'`` before everything that a spreadsheet would take for a formula."""
    first, *rest = ENDS.split(value)
    guarded = first + "".join(f"'{part}" if _is_formula(part) else part for part in rest)
    return f"'{guarded}" if _is_formula(value) else guarded


def _is_formula(text: str) -> bool:
    return FORMULA.match(unicodedata.normalize("NFKC", text)) is not None
