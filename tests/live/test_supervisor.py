"""The supervisor and its parent-death signal, on small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dmstats.core.clock import SystemClock
from dmstats.embedded.child import PDEATHSIG, Program
from dmstats.embedded.supervisor import LOG_BYTES, Ended, Stopping, Supervisor
from tests.servers import free_port, wait_until

pytestmark = pytest.mark.live

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); {SLEEP}"
WAITING = """
import signal, socket, sys
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("waits", flush=True)
    while not ended:
        server.accept()
print("ended", flush=True)
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def supervisor(said: list[str], stop: threading.Event) -> Iterator[Supervisor]:
    supervisor = Supervisor(SystemClock(), stop, said.append)
    yield supervisor
    supervisor.stop_all()


def program(code: str, log: Path, *, always_restart: bool = True) -> Program:
    return Program(
        name="it",
        command=(sys.executable, "-c", code),
        environ=dict(os.environ),
        log=log,
        stop_seconds=0.5,
        death_signal=signal.SIGKILL,
        always_restart=always_restart,
    )


def test_it_works(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program("print('hello', flush=True);" + SLEEP, tmp_path / "log"))
    assert supervisor.until(lambda: (tmp_path / "log").read_text() == "hello\n", 10)
    pid = child.pid
    assert pid
    supervisor.stop_all()
    assert not psutil.pid_exists(pid)


def test_restarts_what_was_killed(supervisor: Supervisor, said: list[str], tmp_path: Path) -> None:
    child = supervisor.start(program(SLEEP, tmp_path / "log"))
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    assert supervisor.until(lambda: child.pid not in (first, None), 10)
    assert said[0].startswith("it ended (killed by SIGKILL); restarting it in 0.")


def test_waits_longer_after_each_death(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program("raise SystemExit(1)", tmp_path / "log"))
    assert supervisor.until(lambda: child.failures == 3, 20)
    assert 0.999 <= child.due - child.died <= 2.001  # the third pause: 2 s, jittered by half


def test_exit_of_a_program_that_says_no(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program("raise SystemExit(3)", tmp_path / "log", always_restart=False))
    with pytest.raises(Ended, match="it ended with exit status 3") as ended:
        supervisor.until(lambda: False, 10)
    assert ended.value.code == 3


def test_kills_what_does_not_end(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = supervisor.start(program(STUBBORN.replace("print(1)", "print(1, flush=True)"), log))
    assert supervisor.until(lambda: log.read_text() == "1\n", 10)
    assert child.pid
    process = psutil.Process(child.pid)
    supervisor.stop_all()
    assert not process.is_running()


def test_wakes_what_waits_for_a_connection(supervisor: Supervisor, tmp_path: Path) -> None:
    log, port = tmp_path / "log", free_port()
    waiting = replace(
        program(WAITING, log),
        command=(sys.executable, "-c", WAITING, str(port)),
        stop_seconds=30.0,
        wake=("127.0.0.1", port),
    )
    supervisor.start(waiting)
    assert supervisor.until(lambda: log.read_text() == "waits\n", 10)
    supervisor.stop_all()
    assert log.read_text() == "waits\nended\n"


def test_ends_what_its_child_started(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(program(PARENT, tmp_path / "log"))
    assert child.pid
    process = psutil.Process(child.pid)
    assert supervisor.until(lambda: bool(process.children()), 10)
    (grandchild,) = process.children()
    supervisor.stop_all()
    wait_until(lambda: _ended(grandchild))


def test_stop_ends_the_waiting(supervisor: Supervisor, stop: threading.Event) -> None:
    stop.set()
    with pytest.raises(Stopping):
        supervisor.until(lambda: False, 60)
    supervisor.run()


def test_long_log_is_put_aside(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(LOG_BYTES + 1)
    supervisor.start(program(SLEEP, log))
    assert log.stat().st_size == 0
    assert (tmp_path / "log.1").stat().st_size == LOG_BYTES + 1


@pytest.mark.parametrize("how", ["kernel", "watch"])
def test_the_program_ends_with_its_parent(how: str, tmp_path: Path) -> None:
    if how == "kernel" and sys.platform != "linux":
        pytest.skip("only Linux's kernel can")
    code = (
        "import os, subprocess, sys; number = str(int(sys.argv[3]));"
        "subprocess.run([sys.executable, sys.argv[1], str(os.getpid()), number, sys.argv[2],"
        f" sys.executable, '-c', {SLEEP!r}])"
    )
    arguments = [sys.executable, "-c", code, str(PDEATHSIG), how, str(int(signal.SIGTERM))]
    with subprocess.Popen(arguments) as parent:
        launcher = psutil.Process(parent.pid)

        def armed() -> bool:
            children = launcher.children()
            return bool(children) and PDEATHSIG.name not in " ".join(children[0].cmdline())

        wait_until(armed)
        family = launcher.children(recursive=True)
        parent.kill()
    wait_until(lambda: all(_ended(process) for process in family))


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
