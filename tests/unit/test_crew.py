"""The workers of one host, each with a committer of its own, over one store in memory."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent.socket import AF_UNIX, socket

from dmstats.commit.batch import Counted
from dmstats.commit.batch_writer import BatchWriter
from dmstats.commit.crew import Crew
from dmstats.commit.group_commit import Committer
from dmstats.commit.link import SILENCE_SECONDS
from dmstats.commit.wire import MAX_MESSAGE
from dmstats.core.clock import SystemClock
from dmstats.core.errors import StoreUnavailable, Unavailable
from dmstats.core.records import LedgerRow
from tests.unit.test_group_commit import MemoryStore, Recorder, rows

ROOT = Path(__file__).parents[2]
SOCKET = "foreman-1.socket"
FOREVER = 30.0
"""Where it is not about time: the machine that tests may be busy."""


def until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Let the others go on until ``condition`` holds."""
    with gevent.Timeout(seconds):
        while not condition():
            gevent.sleep(0.005)


class Worker(Crew):
    """A worker's crew, and what its own committer did."""

    def __init__(
        self,
        store: MemoryStore,
        folder: Path,
        *,
        commit_seconds: float = FOREVER,
        silence: float = FOREVER,
    ) -> None:
        clock, self.metrics = SystemClock(), Recorder()
        writer = BatchWriter(store, clock, self.metrics.conflicted)
        self.led: list[bool] = []
        committer = Committer(writer, clock, self.metrics)
        super().__init__(
            committer,
            folder,
            clock,
            self.led.append,
            commit_seconds=commit_seconds,
            silence=silence,
        )


class Host:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = MemoryStore()
        self.workers: list[Worker] = []

    def start(self, number: int = 1, **options: float) -> list[Worker]:
        """More workers, once each knows its place; the first is the foreman if there is none."""
        started = [Worker(self.store, self.folder, **options) for _ in range(number)]
        self.workers += started
        for worker in started:
            worker.start()
            until(lambda worker=worker: worker.leading or worker.following)  # type: ignore[misc]
        return started


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "committers")
    yield host
    for worker in host.workers:
        worker.stop(seconds=1)


@pytest.fixture
def alternate_id(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The foreman, in a process of its own: its store takes an hour for each batch."""
    code = (
        "import gevent, pathlib; from tests.unit.test_crew import *; store = MemoryStore();"
        f"worker = Worker(store, pathlib.Path({str(tmp_path / 'committers')!r}));"
        "store.before_write = lambda: (print('writing', flush=True), gevent.sleep(3600));"
        "worker.start(); until(lambda: worker.leading); print('leading', flush=True);"
        "gevent.sleep(3600)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"leading\n"
        yield process
        process.kill()


def count(worker: Crew, *names: str) -> gevent.Greenlet:
    return gevent.spawn(worker.submit, rows(*names))


def test_it_works(host: Host) -> None:
    first, *others = host.start(3)
    assert first.leading
    host.store.pause = 0.01
    jobs = [count(worker, f"{n}a", f"{n}b") for n in range(40) for worker in host.workers]
    gevent.joinall(jobs, raise_error=True)
    assert sum(job.value.sent for job in jobs) == 80
    assert sum(job.value.duplicates for job in jobs) == 160
    assert host.store.totals == {"dmsSent": 80, "duplicates": 160}
    assert len(host.store.batches) <= 10
    assert first.metrics.seen["sent"] == 80
    assert not any(worker.metrics.seen for worker in others)


def test_nothing_to_count_needs_no_commit(host: Host) -> None:
    for worker in host.start(2):
        assert worker.submit([]) == Counted()
    assert host.store.batches == []


def test_each_is_told_what_became_of_its_own(host: Host) -> None:
    _, worker = host.start(2)
    host.store.poison = {b"bad"}
    assert worker.submit(rows("a", "bad", "b"), rejected=2) == Counted(sent=2, rejected=3)
    other = [LedgerRow(b"x", "20260101", "a", "seen", 1, 1, True, "n", ("other", b"y"))]
    assert worker.submit(other) == Counted(other=1)
    assert worker.submit(other) == Counted(duplicates=1)


def test_a_failure_is_told_and_nothing_acknowledged(host: Host) -> None:
    _, worker = host.start(2)
    host.store.failures = [StoreUnavailable("gone")]
    with pytest.raises(Unavailable, match="gone"):
        worker.submit(rows("a"))
    assert worker.submit(rows("a")) == Counted(sent=1)


def test_a_foreman_that_leaves_leaves_nothing_undone(host: Host) -> None:
    first, second, third = host.start(3)
    host.store.pause = 0.01
    jobs: list[gevent.Greenlet] = []

    def bring(worker: Worker, name: str) -> None:
        for n in range(40):
            jobs.append(count(worker, f"{name}{n}"))
            gevent.sleep(0.002)

    bringing = [gevent.spawn(bring, worker, name) for worker, name in ((second, "b"), (third, "c"))]
    gevent.sleep(0.03)
    first.stop(seconds=1)
    gevent.joinall(bringing, raise_error=True)
    gevent.joinall(jobs, raise_error=True)
    assert sum(job.value.sent for job in jobs) == 80
    assert host.store.totals == {"dmsSent": 80}
    until(lambda: {second.leading, third.leading} == {True, False})
    until(lambda: second.following or third.following)
    assert first.led == [True, False]


def test_a_worker_that_leaves_hears_what_it_asked(host: Host) -> None:
    _, worker = host.start(2)
    host.store.pause = 0.05
    job = count(worker, "a")
    gevent.sleep(0.01)
    worker.stop(seconds=1)
    assert job.get(timeout=5) == Counted(sent=1)
    with pytest.raises(Unavailable):
        worker.submit(rows("b"))


def test_a_killed_foreman_is_replaced(host: Host, alternate_id: subprocess.Popen[bytes]) -> None:
    (worker,) = host.start()
    assert worker.following
    job = count(worker, "a")
    assert alternate_id.stdout is not None
    gevent.sleep(0.05)
    alternate_id.kill()
    alternate_id.wait()
    assert job.get(timeout=5) == Counted(sent=1)
    until(lambda: worker.leading)
    assert worker.submit(rows("a", "b")) == Counted(sent=1, duplicates=1)


def test_a_stopped_foreman_is_not_waited_for(
    host: Host, alternate_id: subprocess.Popen[bytes]
) -> None:
    (worker,) = host.start(silence=SILENCE_SECONDS)
    alternate_id.send_signal(signal.SIGSTOP)
    assert worker.submit(rows("a")) == Counted(sent=1)
    until(lambda: not worker.following)
    alternate_id.send_signal(signal.SIGCONT)
    until(lambda: worker.following)


def test_a_foreman_that_was_stopped_before_is_not_trusted(
    host: Host, alternate_id: subprocess.Popen[bytes]
) -> None:
    alternate_id.send_signal(signal.SIGSTOP)
    worker = Worker(host.store, host.folder, silence=SILENCE_SECONDS)
    host.workers.append(worker)
    worker.start()
    assert worker.submit(rows("a")) == Counted(sent=1)
    assert not worker.following
    alternate_id.send_signal(signal.SIGCONT)
    until(lambda: worker.following)


@pytest.mark.parametrize(
    "nonsense", [b"\x00\x00\x00\x03abc", (MAX_MESSAGE + 1).to_bytes(4, "big"), b"\x00", b""]
)
def test_nonsense_costs_only_its_sender(host: Host, nonsense: bytes) -> None:
    _, worker = host.start(2)
    with socket(AF_UNIX) as stranger:
        stranger.connect(str(host.folder / SOCKET))
        stranger.sendall(nonsense)
        stranger.shutdown(1)
        stranger.settimeout(5)
        while stranger.recv(4096):
            pass
    assert worker.following
    assert worker.submit(rows("a")) == Counted(sent=1)


def test_what_a_dead_foreman_left_is_no_hindrance(host: Host) -> None:
    host.folder.mkdir(mode=0o700)
    with socket(AF_UNIX) as dead:
        dead.bind(str(host.folder / SOCKET))
    first, second = host.start(2)
    assert first.leading
    assert second.following


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_no_foreman_in_a_folder_that_others_can_enter(host: Host, mode: int) -> None:
    host.folder.mkdir()
    host.folder.chmod(mode)
    worker = Worker(host.store, host.folder)
    host.workers.append(worker)
    worker.start()
    assert worker.submit(rows("a")) == Counted(sent=1)
    assert not worker.leading
    assert not worker.following
    assert list(host.folder.iterdir()) == []


def test_without_a_folder_each_counts_for_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    worker = Worker(MemoryStore(), tmp_path / "file" / "committers")
    worker.start()
    assert worker.submit(rows("a")) == Counted(sent=1)
    worker.stop(seconds=1)


def test_an_errand_that_came_too_late_leaves_nothing_behind(host: Host) -> None:
    first, worker = host.start(2)
    host.store.pause = 0.2
    impatient = Worker(host.store, host.folder, commit_seconds=0.05)
    host.workers.append(impatient)
    impatient.start()
    until(lambda: impatient.following)
    busy = [count(worker, "a"), count(worker, "b")]
    for _ in range(2):
        with pytest.raises(Unavailable):
            impatient.submit(rows("c"))
    gevent.joinall(busy, raise_error=True)
    until(lambda: not any(talk._open for talk in first._foreman._talks))
