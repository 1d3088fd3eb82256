"""deploy/cron: its line, run as cron would, refreshes and shows no secret."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.live.test_launcher import Started

pytestmark = pytest.mark.live

ADDRESS, HEADER = "https://stats.example.com", "/etc/dmstats/cron-header"
LINES = (Path(__file__).parents[2] / "deploy" / "cron").read_text().splitlines()


def line() -> tuple[str, str]:
    """The user, and the command."""
    (found,) = [line for line in LINES if not line.startswith("#")]
    match = re.fullmatch(r"\* \* \* \* \* (\w+) (.+)", found)
    assert match
    return match[1], match[2]


def run(service: Started, header: Path) -> subprocess.CompletedProcess[str]:
    command = line()[1].replace(ADDRESS, f"http://127.0.0.1:{service.environ['PORT']}")
    return subprocess.run(
        ["/bin/sh", "-c", command.replace(HEADER, str(header))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_it_works(service: Started, tmp_path: Path) -> None:
    secret = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets" / "CRON_SECRET"
    header = tmp_path / "header"
    header.write_text(f"Authorization: Bearer {secret.read_text().strip()}\n")
    done = run(service, header)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # cron mails what is said


def test_a_wrong_secret_is_a_failure_that_cron_mails(service: Started, tmp_path: Path) -> None:
    header = tmp_path / "header"
    header.write_text("Authorization: Bearer not-the-secret\n")
    done = run(service, header)
    assert done.returncode != 0
    assert "401" in done.stderr


def test_the_secret_is_on_no_command_line() -> None:
    user, command = line()
    assert user != "root"
    assert f"--header @{HEADER}" in command
    assert "Bearer" not in command
    assert "%" not in command  # cron would take it for a line's end
