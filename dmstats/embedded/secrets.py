"""Generates secrets that are not set, once, and stores them in the data folder."""

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
    """Generate every secret that is neither in ``environ`` nor in ``folder``; files of mode 600."""
    folder.chmod(PRIVATE_FOLDER)
    for name in GENERATED:
        path = folder / name
        if path.exists():
            path.chmod(PRIVATE_FILE)
        elif _is_missing(environ, name):
            write_private(path, secrets.token_urlsafe(BYTES))


def point_to(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The ``NAME_FILE`` variables for secrets in ``folder`` that are not set in ``environ``.

    Files instead of values, because environments are visible in process lists and inherited.
    """
    return {
        f"{name}_FILE": str(folder / name)
        for name in GENERATED
        if _is_missing(environ, name) and (folder / name).exists()
    }


def _is_missing(environ: Mapping[str, str], name: str) -> bool:
    return not (environ.get(name, "").strip() or environ.get(f"{name}_FILE", "").strip())
