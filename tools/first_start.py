"""``python3 tools/first_start.py``: tests `make run` in a fresh clone, twice.

Requires only Python. Exits with 1 unless both starts are ready in time, stop on Ctrl-C, and have
installed no more than they need.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_SECONDS, SECOND_SECONDS = 90.0, 30.0
"""Three and six times what two idle cores need (30 and 5 s), because the machine may be busy."""
STOP_SECONDS = 15.0
MAX_MB = 250


def main() -> None:
    """Start and stop the service twice."""
    with tempfile.TemporaryDirectory() as folder:
        for name, allowed in {"first": FIRST_SECONDS, "second": SECOND_SECONDS}.items():
            took = start_and_end(Path(folder), allowed)
            print(f"{name} start: ready after {took:.1f} s", flush=True)
    size = installed_mb(ROOT / ".venv")
    print(f".venv: {size} MB", flush=True)
    if size > MAX_MB:
        sys.exit(f"more than {MAX_MB} MB")


def start_and_end(folder: Path, allowed: float) -> float:
    """Run `make run` until it is ready, then send Ctrl-C; returns the seconds until ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "DMSTATS_DATA_DIR": str(folder / "var"), "PORT": str(port)}
    began = time.monotonic()
    service = subprocess.Popen(["make", "run"], cwd=ROOT, env=environ, start_new_session=True)
    try:
        while not is_ready(port):
            if service.poll() is not None or time.monotonic() - began > allowed:
                sys.exit(f"not ready after {time.monotonic() - began:.0f} s")
            time.sleep(0.1)
        took = time.monotonic() - began
        os.killpg(service.pid, signal.SIGINT)
        service.wait(STOP_SECONDS)
    finally:
        if service.poll() is None:
            os.killpg(service.pid, signal.SIGKILL)
            service.wait()
    return took


def is_ready(port: int) -> bool:
    """Whether /readyz answers 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def installed_mb(folder: Path) -> int:
    """The size of all files in ``folder``, on disk."""
    blocks = sum(
        path.lstat().st_blocks for path in folder.rglob("*") if path.is_file() or path.is_symlink()
    )
    return blocks * 512 // 1_000_000


if __name__ == "__main__":
    main()
