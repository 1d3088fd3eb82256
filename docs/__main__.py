"""``python -m docs``: write the pages that follow from the code."""

from __future__ import annotations

from docs import FOLDER, configuration, licences, metrics

PAGES = {
    "configuration.md": configuration.page,
    "licences.md": licences.page,
    "metrics.md": metrics.page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
