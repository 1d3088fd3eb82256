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


@pytest.mark.parametrize(("command", "runs"), [(PYTHON, 3), (MAKE, 1)], ids=["python", "make"])
def test_every_burst_of_signals_ends_it(
    command: tuple[str, ...], runs: int, tmp_path: Path
) -> None:
    """A hundred of these: ``python -m tests.signals --runs 100``."""
    if command is MAKE and not is_set_up():
        pytest.skip("needs make, with everything set up: make lint")
    endings = Endings(tmp_path, command, random.Random(runs))
    for _ in range(runs):
        endings.run()
    endings.works()
