"""One supervised program, and the process that runs it now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

PDEATHSIG = Path(__file__).with_name("pdeathsig.py")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, and how to treat it; ``stop_seconds`` pass between SIGTERM and SIGKILL."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path | None
    """Where its output goes; ``None``: where the supervisor's goes."""
    stop_seconds: float
    death_signal: signal.Signals
    """What it gets when the supervisor itself dies."""
    always_restart: bool = True
    """``False``: started again only when a signal killed it, for a program that exits to say no."""


class Child:
    """One program and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.group = 0
        self.failures = 0
        self.started = 0.0
        self.died = 0.0
        self.due = 0.0

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self.process.pid if self.process else None

    def start(self, now: float) -> None:
        """Start the process, in a session of its own: Ctrl-C in the terminal is not for it."""
        how = "kernel" if sys.platform == "linux" else "watch"
        death_signal = str(int(self.program.death_signal))
        with_pdeathsig = (
            sys.executable,
            "-I",
            "-S",
            str(PDEATHSIG),
            str(os.getpid()),
            death_signal,
            how,
        )
        with ExitStack() as stack:
            path = self.program.log
            log = stack.enter_context(path.open("ab")) if path else None
            self.process = subprocess.Popen(  # noqa: S603  a fixed program, no shell
                [*with_pdeathsig, *self.program.command],
                env=dict(self.program.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.group = self.process.pid
        self.started = now

    def has_survivors(self) -> bool:
        """Whether something that the process started is still there."""
        with suppress(ChildProcessError):  # orphans become ours if we are a container's process 1
            while os.waitpid(-self.group, os.WNOHANG)[0]:
                pass
        return self._signal(0)

    def stop(self) -> None:
        """SIGTERM, the program's share of the time, SIGKILL; returns when nothing is left."""
        if self.process:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(self.program.stop_seconds)
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None

    def exited(self, now: float) -> None:
        """The process has died: what it started is asked to end, too."""
        self.process = None
        self.died = now
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> bool:
        """Send a signal to the process and all that it started; whether there is any of them."""
        try:
            os.killpg(self.group, number)
        except ProcessLookupError:
            return False
        return True
