"""Any number of signals to the whole process group, at any moment, end the service in order."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.signals import MAKE, PYTHON, ROOT, Endings

pytestmark = [pytest.mark.live, pytest.mark.slow(45)]


def is_set_up() -> bool:
    """Whether `make run` starts the service at once."""
    if not shutil.which("make"):
        return False
    planned = subprocess.run(
        [*MAKE, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "install" not in planned.stdout


def test_every_burst_of_signals_ends_it(tmp_path: Path) -> None:
    """The last run and the start after it are make's. A hundred: ``python -m tests.signals``."""
    endings = Endings(tmp_path, PYTHON, random.Random(3))
    for _ in range(3):
        endings.run()
    if is_set_up():
        endings.command = MAKE
    endings.run()
    endings.works()
