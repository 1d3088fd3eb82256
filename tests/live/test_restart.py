"""A rolling restart under load: nothing lost, nothing doubled, nothing given up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live.test_launcher import Started
from tests.servers import wait_until

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
FLASK = str(Path(sys.executable).with_name("flask"))
LOAD_SECONDS = 15


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path, WEB_CONCURRENCY="2")
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()


def workers(master: psutil.Process) -> set[int]:
    return {child.pid for child in master.children()}


def test_it_works(service: Started) -> None:
    """All workers are replaced twice while deliveries come; every place counts the same."""
    master = service.child("gunicorn")
    load = subprocess.Popen(
        [FLASK, "simulate", "--rate", "100", "--seconds", str(LOAD_SECONDS)],
        cwd=ROOT, env=service.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    started = time.monotonic()
    for _ in range(2):
        old = workers(master)
        master.send_signal(signal.SIGHUP)
        wait_until(lambda old=old: len(new := workers(master)) == 2 and not new & old)
    restarted = time.monotonic() - started
    said, _ = load.communicate(timeout=120)
    assert load.returncode == 0, said + service.output
    assert restarted < LOAD_SECONDS, "the load was over before the restarts were"
    assert "0 given up" in said
