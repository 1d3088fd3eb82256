"""The request to stop: a signal handler never waits for the code that it interrupted."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmstats.core.stopping import SIGNALS, StopSignal
from dmstats.services import Services
from tests.sources import tree

ROOT = Path(__file__).parents[3]

INTERRUPTED_AT_EVERY_STEP = """
import signal, sys
from {module} import {name}

stop = {name}()
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: stop.set())

def interrupt(frame, event, argument):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.raise_signal(number)
    return interrupt

sys.settrace(interrupt)
stop.{call}
sys.settrace(None)
assert stop.wait(0)
"""


def ends(module: str, name: str, call: str) -> bool:
    """Whether ``call`` returns although signals interrupt it before each of its lines."""
    program = INTERRUPTED_AT_EVERY_STEP.format(module=module, name=name, call=call)
    try:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=True)
    except subprocess.TimeoutExpired:
        return False
    return True


@pytest.mark.parametrize("call", ["set()", "wait(0.01)", "wait()"])
def test_a_handler_may_interrupt_anything(call: str) -> None:
    assert ends("dmstats.core.stopping", "StopSignal", call)


def send_five(number: signal.Signals) -> None:
    for _ in range(5):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_waiting(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopSignal().listening() as stop:
        assert not stop.wait(0)
        sender = threading.Timer(0.05, send_five, [number])
        sender.start()
        began = time.monotonic()
        assert stop.wait(30)
        assert time.monotonic() - began < 10
        sender.join()
        assert stop.wait()
    assert signal.getsignal(number) == before


def test_more_requests_than_the_pipe_holds() -> None:
    stop = StopSignal()
    for _ in range(70_000):
        stop.set()
    assert stop.wait(0)


def test_ignored_at_the_end() -> None:
    program = (
        "import signal; from dmstats.core.stopping import SIGNALS, StopSignal;"
        "StopSignal().listen(); StopSignal.ignore(); [signal.raise_signal(n) for n in SIGNALS]"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=30, check=True)


def test_a_worker_that_is_told_to_go_only_takes_a_note() -> None:
    """The handler may interrupt itself; the first call holds."""
    worker = SimpleNamespace(_draining=None)
    ends = [lambda: 1, lambda: 2]
    for end in ends:
        Services.drain(worker, end, lambda: True)  # type: ignore[arg-type]
    assert worker._draining[0] is ends[0]


def test_handlers_are_made_in_one_place() -> None:
    made = {
        path.name
        for path in ROOT.joinpath("dmstats").rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "signal.signal"
    }
    assert made == {"stopping.py"}
