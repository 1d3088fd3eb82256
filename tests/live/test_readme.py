"""README.md's commands do what it says, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port, wait_until

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)
SERVICE = "make run\n"
TESTS = ["make test-quick\n", "make test\n"]
CLEANING = "rm -rf var\nmake clean\n"
MONGODB, REDIS = "mongodb://localhost:27017/dmstats?replicaSet=rs0", "redis://localhost:6379/0"
OWN_DATABASES = f"MONGODB_URI='{MONGODB}' REDIS_URL='{REDIS}' make run\n"
DOCKER = "docker compose --file deploy/compose.yaml up --detach --build\n"
PORT = "8000"
SECRETS = "var/secrets"
START_SECONDS = 120.0
STOP_SECONDS = 15.0


def commands() -> list[str]:
    """What a reader types in the second terminal."""
    others = [SERVICE, *TESTS, CLEANING, OWN_DATABASES, DOCKER]
    return [block for block in BLOCKS if block not in others]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(tmp_path)),
        "DMSTATS_DATA_DIR": str(tmp_path / "var"),
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
    }


@contextmanager
def terminal(block: str, environ: dict[str, str], output: Path) -> Iterator[None]:
    """The service that ``block`` starts in a terminal of its own, ended by Ctrl-C."""
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {block}"],
            cwd=ROOT, env=environ, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip

    def started() -> bool:
        assert process.poll() is None, output.read_text()
        return "running at" in output.read_text()

    try:
        wait_until(started, seconds=START_SECONDS)
        yield
        os.killpg(process.pid, signal.SIGINT)
        process.wait(STOP_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_it_works(environ: dict[str, str], tmp_path: Path) -> None:
    """All of them, one after the other in one shell; only the port and the folder are others."""
    script = "\n".join(commands())
    for name, (old, new) in {
        "port": (f":{PORT}", f":{environ['PORT']}"),
        "folder": (SECRETS, f"{environ['DMSTATS_DATA_DIR']}/secrets"),
    }.items():
        assert old in script, name
        script = script.replace(old, new)
    with terminal(SERVICE, environ, tmp_path / "output"):
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=ROOT, env=environ, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "output").read_text()
    assert "sent to the service" in done.stdout
    assert '"status":"ok"' in done.stdout
    assert "nothing to apply" in done.stdout
    assert '"totalDMsSent":' in done.stdout


def test_databases_of_ones_own_are_used(
    environ: dict[str, str], tmp_path: Path, mongodb_uri: str, redis_url: str
) -> None:
    environ["MONGODB_DB"] = f"readme_{uuid.uuid4().hex[:12]}"  # others use the server, too
    block = OWN_DATABASES.replace(MONGODB, mongodb_uri).replace(REDIS, redis_url)
    with terminal(block, environ, tmp_path / "output"):
        pass
    assert not (Path(environ["DMSTATS_DATA_DIR"]) / "mongodb").exists()


def test_cleaning_leaves_what_was_cloned(tmp_path: Path) -> None:
    """All that git ignores is removed, but for what the reader made."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for line in (ROOT / ".gitignore").read_text().splitlines():
        if line and not line.startswith("#") and line not in (".env", ".DS_Store"):
            name = line.replace("[cod]", "c").replace("*", "x")
            (tmp_path / "dmstats" / "web" / "__pycache__").mkdir(parents=True, exist_ok=True)
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
    subprocess.run(["bash", "-euc", CLEANING], cwd=tmp_path, check=True, capture_output=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"Makefile", "dmstats", "dmstats/web", "static"}


def test_the_docker_line_starts_the_file_that_is_there() -> None:
    """It needs a Docker engine; what the image does is in test_image.py."""
    words = DOCKER.split()
    assert (ROOT / words[words.index("--file") + 1]).is_file()
    assert "up --detach --build" in (ROOT / "deploy" / "compose.yaml").read_text()


def test_every_command_is_run_or_left_out_for_a_reason() -> None:
    for block in (SERVICE, *TESTS, CLEANING, OWN_DATABASES, DOCKER):
        assert BLOCKS.count(block) == 1, block
    assert len(commands()) >= 2
