"""The browser of the tests: the one that `make test` unpacks, else one of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parents[2] / ".cache" / "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    # No optimising compilers: the scripts of a test's page do not run long enough for what these
    # cost. With them, a run of axe takes half as much CPU time again.
    "--js-flags=--no-maglev,--no-turbofan",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    "--process-per-site",
]
# The fonts of the machine, where it has any, and those of the package.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>{folder}/fonts</dir>
  <cachedir>{folder}/fonts-cache</cachedir>
</fontconfig>
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium: TEST_BROWSER, else the unpacked one, else the first of ``NAMES`` on the PATH."""
    path, environ = _program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, env=environ)
        yield browser
        browser.close()


def _program() -> tuple[Path, dict[str, str | float | bool]]:
    """The program and its environment."""
    named, packed = os.environ.get("TEST_BROWSER"), FOLDER / "chromium"
    if named:
        return Path(named), {**os.environ}
    if packed.exists():
        return packed, {**os.environ, **_libraries_and_fonts()}
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    assert found, "no browser: `make test` unpacks one; or name one in TEST_BROWSER"
    return Path(found), {**os.environ}


def _libraries_and_fonts() -> dict[str, str]:
    """What the unpacked browser may lack on a bare machine."""
    fonts = FOLDER / "fonts.conf"
    text = FONTS.format(folder=FOLDER)
    if not fonts.exists() or fonts.read_text() != text:
        fonts.write_text(text)
    libraries = [str(FOLDER / "al2023" / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "FONTCONFIG_FILE": str(fonts),
    }
