"""`python -m dmstats` as a child process of a test."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from tests.servers import bare_environ, free_port, wait_until

STOP_SECONDS = 15.0
START_SECONDS = 120.0


class Started:
    """A `python -m dmstats` with a data folder and a port of its own."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.environ = {
            **bare_environ(),
            "DMSTATS_DATA_DIR": str(folder / "var"),
            "PORT": str(free_port()),
            "WEB_CONCURRENCY": "1",
            **environ,
        }
        self.process: subprocess.Popen[str] | None = None
        self.family: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> None:
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dmstats"],
                env=self.environ,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                text=True,
            )

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process
            assert self.process.poll() is None, self.output
            return "dmstats: running at" in self.output

        wait_until(ready, seconds=START_SECONDS)
        assert self.process
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    def child(self, part: str) -> psutil.Process:
        """The launcher's own child whose command line holds ``part``."""
        assert self.process
        children = psutil.Process(self.process.pid).children()
        (found,) = [child for child in children if part in " ".join(child.cmdline())]
        return found

    def answers(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.environ['PORT']}/healthz"
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Ask it to stop; returns the seconds it took. Always kills what is left."""
        assert self.process
        if self.process.poll() is None:
            family = psutil.Process(self.process.pid).children(recursive=True)
            self.family = [*self.family, *family]
        started = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS + 5)
        finally:
            self.process.kill()
        return time.monotonic() - started

    def left(self) -> list[psutil.Process]:
        """The processes it started that still run; a zombie counts as ended."""
        return [process for process in self.family if runs(process)]


def runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def attempt(environ: dict[str, str]) -> tuple[int, str]:
    """A start that is expected to fail: its exit status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "dmstats"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
