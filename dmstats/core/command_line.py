"""The shell command line that runs a command of this installation on its data folder."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

DEFAULT_FOLDER = Path("var")
SIMULATE = ("simulate", "--rate", "20", "--seconds", "60")


def command_line(*words: str, data_dir: Path) -> str:
    """``dmstats`` with ``words``, quoted for a shell in this process's working directory.

    It works without an activated virtual environment, and names ``data_dir`` if it is not the
    default.
    """
    here, script = Path.cwd(), Path(sys.executable).with_name("dmstats")
    if script.exists():
        program = [str(script.relative_to(here) if script.is_relative_to(here) else script)]
    else:
        program = [sys.executable, "-m", "dmstats"]
    folder = data_dir.absolute()
    prefix = "" if folder == DEFAULT_FOLDER.absolute() else f"DMSTATS_DATA_DIR={quoted(folder)} "
    return prefix + shlex.join([*program, *words])


def quoted(path: Path) -> str:
    """A path quoted for a shell."""
    return shlex.quote(str(path))
