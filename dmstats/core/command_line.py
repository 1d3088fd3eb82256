"""What to type to run a command of this installation, on this data folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

DEFAULT_FOLDER = Path("var")
SIMULATE = ("simulate", "--rate", "20", "--seconds", "60")


def command_line(*words: str, data_dir: Path) -> str:
    """``dmstats`` with ``words``, quoted for a shell that stands in this process' folder.

    The environment need not be activated there, and ``data_dir`` is found whatever it is.
    """
    here, script = Path.cwd(), Path(sys.executable).with_name("dmstats")
    if script.exists():
        program = [str(script.relative_to(here) if script.is_relative_to(here) else script)]
    else:
        program = [sys.executable, "-m", "dmstats"]
    folder = data_dir.absolute()
    told = "" if folder == DEFAULT_FOLDER.absolute() else f"DMSTATS_DATA_DIR={quoted(folder)} "
    return told + shlex.join([*program, *words])


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
