"""The Makefile: in a fresh clone, each target installs what its commands need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import bare_environ

ROOT = Path(__file__).parents[3]
NEEDED = ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "hatch_build.py",
          "package.json", "package-lock.json", ".npmrc", "tools/prepare.py",
          "tests/browser/unpack.js")  # fmt: skip
TARGETS = re.findall(r"^([a-z-]+):.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
INSTALLS = {
    r"\.venv/bin/python -m": r"tools/prepare\.py (dev|run)",
    r"\.venv/bin/(ruff|mypy|bandit)": r"tools/prepare\.py dev",
    r"-m pytest": r"tools/prepare\.py dev",
    r"npm run": r"npm ci",
    r"-m pytest.*tests/browser": r"node tests/browser/unpack\.js",
}
"""What must have run before the first command that matches."""


@pytest.mark.parametrize("target", TARGETS)
def test_a_fresh_clone_has_what_the_commands_need(target: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    planned = subprocess.run(
        ["make", "--dry-run", target],
        cwd=tmp_path, env=bare_environ(), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for command, installation in INSTALLS.items():
        if used := re.search(command, planned):
            assert re.search(installation, planned[: used.start()]), command
