"""A program under test as a child process: started, watched, killed, ended."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import psutil

from dmstats.embedded.servers import free_port

ROOT = Path(__file__).parents[1]
READY_SECONDS = 30.0
STOP_SECONDS = 12.0


def serves(port: int) -> bool:
    """Whether a web server answers at ``port``, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether somebody accepts connections at ``port``."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listeners(port: int) -> int:
    """How many sockets listen at ``port``; several programs may have one each."""
    found = psutil.net_connections("tcp4")
    listening = [each.laddr for each in found if each.status == psutil.CONN_LISTEN]
    return sum(address[1:2] == (port,) for address in listening)


class Program:
    """A child process and its children; ends with the context."""

    def __init__(self, command: list[str], environ: Mapping[str, str], ready: Callable[[], bool]):
        self._command = command
        self._environ = {**os.environ, **environ}
        self._ready = ready
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program
        self.start()

    def start(self) -> None:
        """Start it, again after :meth:`kill`; returns when it is ready."""
        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                text = self._log.read()[-3000:].decode(errors="replace")
                self.stop()
                raise RuntimeError(f"did not start: {' '.join(self._command)}\n{text}")
            time.sleep(0.05)

    def family(self) -> list[psutil.Process]:
        """The process and all that it started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def cpu(self) -> float:
        """CPU seconds used so far, all processes together."""
        return sum(spent(process) for process in self.family())

    def written(self) -> float:
        """Bytes that its processes have made the system write to disk so far."""
        return sum(written(process) for process in self.family())

    def memory(self) -> int:
        """Bytes that its processes have to themselves, all together."""
        return sum(int(process.memory_full_info().uss) for process in self.family())

    def worker_memory(self) -> int:
        """Bytes that the last child (a worker), or else the process itself, has to itself."""
        return int(self.family()[-1].memory_full_info().uss)

    def files(self) -> int:
        """How many files and connections its processes have open."""
        return sum(process.num_fds() for process in self.family())

    def kill(self) -> None:
        """SIGKILL to all of it at once, as a crash of the machine does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """End it in order, with everything that it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def stop(self) -> None:
        """End it for good."""
        self.end()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def spent(process: psutil.Process) -> float:
    """CPU seconds of one process; 0 when it has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def written(process: psutil.Process) -> float:
    """Bytes one process has made the system write; 0 where the system does not tell."""
    with contextlib.suppress(psutil.Error, AttributeError):
        return float(process.io_counters().write_bytes)
    return 0.0


class Web:
    """A web server under test at a free port."""

    def __init__(
        self,
        command: Callable[[int], list[str]],
        environ: Mapping[str, str],
        ready: Callable[[int], bool] = serves,
    ) -> None:
        self.port = free_port()
        own = {"PORT": str(self.port), **environ}
        self.program = Program(command(self.port), own, lambda: ready(self.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()
