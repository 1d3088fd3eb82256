"""The continuous integration: it covers what is supported, by commands that exist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
COMMANDS = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]


def test_the_oldest_supported_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = JOBS["test"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={versions[0]}"
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]


def test_its_targets_exist() -> None:
    targets = {match for command in COMMANDS for match in re.findall(r"^make (\S+)", command)}
    assert targets == {"lint", "test", "test-live"}
    defined = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets <= set(defined)


def test_its_scripts_parse() -> None:
    for command in COMMANDS:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_servers_are_named_by_variables_that_the_fixtures_read() -> None:
    (step,) = [step for step in JOBS["live"]["steps"] if "test-live" in step.get("run", "")]
    fixtures = (ROOT / "tests/conftest.py").read_text()
    assert [name for name in step["env"] if f'environ.get("{name}")' not in fixtures] == []
