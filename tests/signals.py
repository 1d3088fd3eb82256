"""Starts a service again and again, and ends each by a burst of signals to its process group.

``python -m tests.signals --runs 100 [--make] [--seed 1]`` prints a line per run and exits 1 if one
of them did not end in time, left a process behind or could not be started. All runs share one data
folder, so each run also tests the start after the previous one.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.servers import bare_environ, free_port, wait_until

ROOT = Path(__file__).parents[1]
PYTHON = (sys.executable, "-m", "dmstats")
MAKE = ("make", "--no-print-directory", "run")
END_SECONDS = 15.0
READY_SECONDS = 60.0
MAX_SIGNALS = 5
BURST_SECONDS = 0.01
STARTING_SECONDS = 5.0
"""Half of the bursts come within this of the start, the others in the second after readiness."""


@dataclass(frozen=True)
class Outcome:
    """One run: when and by which signals it was ended, and how many seconds that took."""

    moment: str
    signals: tuple[signal.Signals, ...]
    seconds: float
    status: int

    def __str__(self) -> str:
        names = " ".join(number.name for number in self.signals)
        return f"{self.moment}: {names}: ended in {self.seconds:.2f} s with status {self.status}"


class Endings:
    """Starts ``command`` on one data folder, run after run; ``rng`` picks moments and signals."""

    def __init__(
        self, folder: Path, command: Sequence[str], rng: random.Random, *, workers: int = 1
    ) -> None:
        self.command = command
        self._rng = rng
        self._output = folder / "output"
        self._port = free_port()
        self._mark = uuid.uuid4().hex
        # Every process of a run inherits the mark, the databases included.
        self._environ = {
            **bare_environ(),
            "HOME": os.environ.get("HOME", str(folder)),
            "DMSTATS_DATA_DIR": str(folder / "var"),
            "PORT": str(self._port),
            "WEB_CONCURRENCY": str(workers),
            "RUN_MARK": self._mark,
        }

    def run(self) -> Outcome:
        """One start and its end; ``AssertionError`` if it did not start, end or end all of it."""
        process = self._start()
        if self._rng.random() < 0.5:
            seconds = self._rng.uniform(0, STARTING_SECONDS)
            moment = f"{seconds:.2f} s after the start"
        else:
            self._wait_ready(process)
            seconds = self._rng.uniform(0, 1)
            moment = f"{seconds:.2f} s after it was ready"
        time.sleep(seconds)
        assert process.poll() is None, f"it ended by itself: {self._output.read_text()}"
        return self._end(process, moment)

    def works(self) -> None:
        """One more start, which has to answer before it is ended."""
        process = self._start()
        self._wait_ready(process)
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=10) as answer:
            assert answer.status == 200
        self._end(process, "at the end")

    def _start(self) -> subprocess.Popen[bytes]:
        with self._output.open("wb") as output:
            return subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        def ready() -> bool:
            assert process.poll() is None, self._output.read_text()
            return "dmstats: running at" in self._output.read_text()

        try:
            wait_until(ready, seconds=READY_SECONDS)
        except AssertionError:
            self._kill(process)
            raise

    def _end(self, process: subprocess.Popen[bytes], moment: str) -> Outcome:
        numbers = self._rng.choices(
            [signal.SIGINT, signal.SIGTERM], k=self._rng.randint(1, MAX_SIGNALS)
        )
        pauses = [self._rng.uniform(0, BURST_SECONDS / MAX_SIGNALS) for _ in numbers]
        began = time.monotonic()
        try:
            for number, pause in zip(numbers, pauses, strict=True):
                os.killpg(process.pid, number)
                time.sleep(pause)
            status = process.wait(END_SECONDS)
            remaining = END_SECONDS - (time.monotonic() - began)
            wait_until(lambda: not self._left(), seconds=remaining)
            seconds = time.monotonic() - began
        except (subprocess.TimeoutExpired, AssertionError) as error:
            left = [" ".join(each.cmdline()) for each in self._left()]
            self._kill(process)
            raise AssertionError(
                f"{moment}, {numbers}: not ended in {END_SECONDS} s; left: {left}; "
                f"output: {self._output.read_text()}"
            ) from error
        return Outcome(moment, tuple(numbers), seconds, status)

    def _left(self) -> list[psutil.Process]:
        """What still runs of it."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RUN_MARK") == self._mark:
                    found.append(process)
            except psutil.Error:  # it has ended, or is another user's
                continue
        return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        for each in self._left():
            each.kill()
        process.kill()
        process.wait(10)


def main() -> int:
    """Run the command line above; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.signals", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.getrandbits(32))
    parser.add_argument("--make", action="store_true", help="start it by `make run`")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    say(f"seed {arguments.seed}")
    failed, longest = 0, 0.0
    with tempfile.TemporaryDirectory(prefix="dmstats-signals-") as folder:
        endings = Endings(Path(folder), MAKE if arguments.make else PYTHON, rng, workers=2)
        for number in range(1, arguments.runs + 1):
            try:
                outcome = endings.run()
            except AssertionError as error:
                failed += 1
                say(f"{number}: {error}")
                continue
            longest = max(longest, outcome.seconds)
            say(f"{number}: {outcome}")
        endings.works()
    say(f"{arguments.runs} runs, {failed} failed, the longest end took {longest:.1f} s")
    return 1 if failed else 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a command-line program


if __name__ == "__main__":
    sys.exit(main())
