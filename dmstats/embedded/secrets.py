"""Made-up secrets: whatever secret is not set is made once and kept in the data folder."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from dmstats.embedded.datadir import PRIVATE_FILE, PRIVATE_FOLDER, write_private

GENERATED = (
    "META_APP_SECRET",
    "META_VERIFY_TOKEN",
    "CRON_SECRET",
    "SECRET_KEY",
    "ADMIN_API_TOKEN",
)

BYTES = 32


def make_missing(environ: Mapping[str, str], folder: Path) -> None:
    """Make every secret that neither ``environ`` nor ``folder`` has: a file of mode 600 each."""
    folder.chmod(PRIVATE_FOLDER)
    for name in GENERATED:
        path = folder / name
        if path.exists():
            path.chmod(PRIVATE_FILE)
        elif _is_missing(environ, name):
            write_private(path, secrets.token_urlsafe(BYTES))


def point_to(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The ``NAME_FILE`` variables that lead to the secrets in ``folder`` that ``environ`` lacks.

    Files, not values: an environment shows in process lists and is inherited by every child.
    """
    return {
        f"{name}_FILE": str(folder / name)
        for name in GENERATED
        if _is_missing(environ, name) and (folder / name).exists()
    }


def _is_missing(environ: Mapping[str, str], name: str) -> bool:
    return not (environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())
