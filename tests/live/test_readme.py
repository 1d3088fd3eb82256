"""README.md's commands do what it says, as they stand there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import free_port, wait_until

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
SERVICE = "make run\n"
TESTS = "make test\n"
PLACEHOLDER = "=..."
PORT = "8000"
START_SECONDS = 120.0
STOP_SECONDS = 15.0


def commands() -> list[str]:
    """What a reader types in the other terminal."""
    return [block for block in BLOCKS if block not in (SERVICE, TESTS) and PLACEHOLDER not in block]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "DMSTATS_DATA_DIR": str(tmp_path / "var"),
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
    }


@pytest.fixture
def service(environ: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """`make run` in a terminal of its own, ended by Ctrl-C; what it prints."""
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            SERVICE.split(), cwd=ROOT, env=environ, stdout=file, stderr=file, start_new_session=True
        )

    def started() -> bool:
        assert process.poll() is None, output.read_text()
        return "running at" in output.read_text()

    try:
        wait_until(started, seconds=START_SECONDS)
        yield output
        os.killpg(process.pid, signal.SIGINT)
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_it_works(environ: dict[str, str], service: Path) -> None:
    """All of them, one after the other in one shell; only the port is another."""
    script = "\n".join(commands()).replace(f":{PORT}", f":{environ['PORT']}")
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + service.read_text()
    assert "sent to the service" in done.stdout
    assert "totalDMsSent" in done.stdout
    assert '"status":"ok"' in done.stdout
    assert "nothing to apply" in done.stdout


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    assert SERVICE in BLOCKS
    assert TESTS in BLOCKS
    assert len(commands()) >= 2
    assert len(BLOCKS) - len(commands()) == 3  # the service, the tests, the one to fill in
