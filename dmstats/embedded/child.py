"""A supervised program and its current process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

PDEATHSIG = Path(__file__).with_name("pdeathsig.py")
WAKE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run and how; ``stop_seconds`` is the time between SIGTERM and SIGKILL."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path | None
    """The file for its output; ``None``: the supervisor's own output."""
    stop_seconds: float
    death_signal: signal.Signals
    """The signal that it receives when the supervisor dies."""
    wake: tuple[str, int] | None = None
    """Where to connect after SIGTERM, for a server that notices it at once only then."""
    always_restart: bool = True
    """``False``: restart only after a kill by a signal; a normal exit ends the service."""


class Child:
    """A program and its current process."""

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
        """The id of the running process, or None."""
        return self.process.pid if self.process else None

    def start(self, now: float) -> None:
        """Start the process in its own session, so that it does not receive Ctrl-C."""
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
        """Whether a process that the child started is still running."""
        with suppress(ChildProcessError):  # as a container's process 1 we inherit orphans
            while os.waitpid(-self.group, os.WNOHANG)[0]:
                pass
        return self._signal(0)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after ``stop_seconds``; returns when all its processes ended."""
        if self.process:
            self._terminate(self.process)
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
            self.process = None

    def _terminate(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM; returns when it has ended, after ``stop_seconds`` at the latest."""
        process.terminate()
        for _ in range(round(self.program.stop_seconds / WAKE_SECONDS)):
            with suppress(subprocess.TimeoutExpired):
                process.wait(WAKE_SECONDS)
                return
            if self.program.wake:
                with suppress(OSError):
                    socket.create_connection(self.program.wake, WAKE_SECONDS).close()

    def exited(self, now: float) -> None:
        """Record that the process has died, and terminate the processes it started."""
        self.process = None
        self.died = now
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> bool:
        """Signal the process group; returns whether any process of it exists."""
        try:
            os.killpg(self.group, number)
        except ProcessLookupError:
            return False
        return True
