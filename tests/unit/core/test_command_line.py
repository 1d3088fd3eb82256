"""The command that the start and the empty dashboard suggest."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from dmstats.core.command_line import SIMULATE, command_line


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as of a project, with an environment in it."""
    script = tmp_path / ".venv" / "bin" / "dmstats"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    return tmp_path


def test_it_works(here: Path) -> None:
    told = command_line(*SIMULATE, data_dir=Path("var"))
    assert told == ".venv/bin/dmstats simulate --rate 20 --seconds 60"
    assert command_line(*SIMULATE, data_dir=here / "var") == told


def test_another_folder_is_named_and_quoted(here: Path) -> None:
    told = command_line("audit", data_dir=Path("with space/d é"))
    assert shlex.split(told) == [
        f"DMSTATS_DATA_DIR={here}/with space/d é",
        ".venv/bin/dmstats",
        "audit",
    ]


def test_from_elsewhere(
    here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert f"{here}/.venv/bin/dmstats audit" in command_line("audit", data_dir=here / "var")


def test_without_a_script(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / ".venv" / "bin" / "dmstats").unlink()
    assert command_line("audit", data_dir=Path("var")).endswith("python -m dmstats audit")
