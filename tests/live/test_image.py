"""What deploy/Dockerfile does, done in a clean folder: no Docker engine is needed for that."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest

from tests.servers import free_port, wait_until

pytestmark = [pytest.mark.live, pytest.mark.slow(60)]

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
UV = "uv pip install --quiet --python {place} "
IGNORED = shutil.ignore_patterns("__pycache__", "vendor")
SECRETS = ("META_APP_SECRET", "META_VERIFY_TOKEN", "CRON_SECRET", "SECRET_KEY")


def context(folder: Path) -> None:
    """Copy what .dockerignore lets through."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = ROOT / line[1:], folder / line[1:]
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=IGNORED)
            else:
                shutil.copy(source, target)


def build_commands(place: Path) -> list[str]:
    """The first stage's RUN lines, for another Python and another place than /opt/dmstats.

    uv builds and installs instead of pip, which takes half a minute: uv has what is locked already.
    So the place needs no pip, which takes venv four seconds.
    """
    stage = DOCKERFILE.split("\nFROM")[1].replace("\\\n", " ")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = [line.removeprefix("RUN ") for line in stage.splitlines() if line.startswith("RUN")]
    assert len(found) == 3
    commands = [
        re.sub(r"python3\.\d+", version, command)
        .replace("/opt/dmstats", str(place))
        .replace("/wheels", str(place / "wheels"))
        .replace("--requirement requirements.lock", "--requirement deploy/requirements.lock")
        .replace("--no-cache-dir ", "")
        .replace(f"{place}/bin/pip install ", UV.format(place=place))
        .replace("pip wheel --no-deps --wheel-dir", "uv build --quiet --wheel --out-dir")
        .replace("-m venv", "-m venv --without-pip")
        for command in found
    ]
    assert commands[1].startswith("uv ")
    assert commands[2].count("uv ") == 2
    return commands


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, place = tmp_path_factory.mktemp("src"), tmp_path_factory.mktemp("opt") / "dmstats"
    context(source)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ, "PATH": path}
    for command in build_commands(place):
        subprocess.run(["sh", "-euc", command], cwd=source, env=environ, check=True, timeout=300)
    shutil.rmtree(source)
    return place


@pytest.fixture(scope="module")
def environ(image: Path, mongodb_uri: str, redis_url: str) -> dict[str, str]:
    return {
        "PATH": f"{image}/bin:/usr/bin:/bin",
        "FLASK_APP": "dmstats.app",
        "MONGODB_URI": mongodb_uri,
        "MONGODB_DB": f"image_{uuid.uuid4().hex[:12]}",
        "REDIS_URL": redis_url,
        "PORT": str(free_port()),
        "WEB_CONCURRENCY": "1",
        "DMSTATS_DATA_DIR": "/nowhere/to/write",
        **{name: f"{name}-of-the-image" for name in SECRETS},
    }


def run(environ: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env=environ, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_works(image: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """The image's own command serves, with nothing of the checkout and no npm beside it."""
    assert "applied 0001" in run(environ, "python", "-m", "migrations")
    command = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0]
    command = json.loads(command.replace("/opt/dmstats", str(image)))
    base = f"http://127.0.0.1:{environ['PORT']}"

    def ready() -> bool:
        assert server.poll() is None, (tmp_path / "log").read_text()
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environ, cwd="/", stdout=log, stderr=log)
    try:
        wait_until(ready)
        run(environ, "flask", "refresh-stats", "--json")
        findings = json.loads(run(environ, "flask", "doctor", "--json"))
        assert {"webhook": "ok", "indexes": "ok"}.items() <= {
            finding["check"]: finding["verdict"] for finding in findings
        }.items()
        with urllib.request.urlopen(f"{base}/login", timeout=5) as page:
            script = re.search(r'(/static/[^"]+\.css)', page.read().decode())
        assert script
        with urllib.request.urlopen(base + script[1], timeout=5) as file:
            assert file.status == 200
    finally:
        server.terminate()
        assert server.wait(15) == 0


def test_image_has_no_tool_of_the_developers(image: Path) -> None:
    names = {path.name for path in (image / "bin").iterdir()}
    assert {"gunicorn", "flask"} <= names
    assert not {"pytest", "node", "npm", "secantusd-py", "uv", "mypy"} & names


def test_refresher_answers_prometheus(environ: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        refresher = subprocess.Popen(
            ["flask", "run-refresher", "--metrics-port", str(port)],
            env=environ, cwd="/", stdout=log, stderr=log,
        )  # fmt: skip

    def leads() -> bool:
        assert refresher.poll() is None, (tmp_path / "log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
                return b"dmstats_lease_held 1.0" in answer.read()
        except OSError:
            return False

    try:
        wait_until(leads)
    finally:
        refresher.terminate()
        assert refresher.wait(15) == 0
