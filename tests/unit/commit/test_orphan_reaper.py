"""The other committers of a host notice a committer's death at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmstats.commit.orphan_reaper import (
    REPEAT_EVERY_SECONDS,
    REPEAT_FOR_SECONDS,
    SERVER_CHECK_CONFLICTS,
    OrphanedTransactionReaper,
)
from dmstats.commit.session_files import SessionRegistry, session_folder
from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable

OWN, OTHER = b"o" * 16, b"x" * 16


class Harness:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.open: list[bytes] = []
        self.killed: list[bytes] = []
        self.registry = SessionRegistry(folder)
        self.orphan_reaper = OrphanedTransactionReaper(
            self.registry, lambda: self.open, self.killed.append, lambda: OWN, self.clock
        )


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path / "committers")
    yield harness
    harness.registry.unregister()


def neighbour(folder: Path, session_id: bytes) -> subprocess.Popen[bytes]:
    """Another process that registers its session and then waits to be killed."""
    code = (
        "import sys, pathlib; from dmstats.commit.session_files import SessionRegistry;"
        f"own = SessionRegistry(pathlib.Path({str(folder)!r})); own.register({session_id!r});"
        "print('here', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    return process


def test_it_works(harness: Harness, tmp_path: Path) -> None:
    harness.orphan_reaper.tick()
    with neighbour(tmp_path / "committers", OTHER) as process:
        harness.orphan_reaper.end_dead_sessions()
        assert harness.killed == []
        process.kill()
        process.wait()
    harness.orphan_reaper.end_dead_sessions()
    assert harness.killed == [OTHER]
    harness.orphan_reaper.end_dead_sessions()
    assert harness.killed == [OTHER]


def _noted(looked: list[float], harness: Harness) -> Iterator[bytes]:
    looked.append(harness.clock.monotonic())
    return iter(())


def test_a_conflict_looks_for_dead_committers_but_not_each_time(harness: Harness) -> None:
    looked: list[float] = []
    harness.registry.dead = lambda: _noted(looked, harness)  # type: ignore[method-assign]
    for _ in range(10):
        harness.orphan_reaper.on_conflict(1)
        harness.clock.advance(0.01)
    assert len(looked) == 2


def test_an_abandoned_transaction_of_another_host_is_ended_after_several_conflicts(
    harness: Harness,
) -> None:
    harness.open = [OTHER]
    harness.orphan_reaper.on_conflict(1)
    assert harness.killed == []
    harness.orphan_reaper.on_conflict(SERVER_CHECK_CONFLICTS)
    assert harness.killed == [OTHER]


@pytest.mark.parametrize("on_conflict", [True, False])
def test_what_the_dead_had_sent_is_ended_too(
    harness: Harness, tmp_path: Path, *, on_conflict: bool
) -> None:
    """The server may work on it only after its session was ended. It is ended without a conflict,
    too: one that locks only an account makes none once that account's counters are deferred."""

    def look() -> None:
        if on_conflict:
            harness.orphan_reaper.on_conflict(1)
        else:
            harness.orphan_reaper.tick()

    harness.orphan_reaper.tick()
    with neighbour(tmp_path / "committers", OTHER) as process:
        process.kill()
        process.wait()
    look()
    once = len(harness.killed)
    harness.clock.advance(REPEAT_EVERY_SECONDS)
    look()
    look()
    assert len(harness.killed) == once + 1
    harness.clock.advance(REPEAT_FOR_SECONDS + 1)
    look()
    assert len(harness.killed) == once + 1


def test_a_server_that_does_not_answer_fails_no_batch(harness: Harness) -> None:
    def unavailable() -> list[bytes]:
        raise StoreUnavailable

    harness.orphan_reaper._find_open = unavailable
    harness.orphan_reaper.on_conflict(SERVER_CHECK_CONFLICTS)


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "committers").mkdir(mode=0o755)
    harness = Harness(tmp_path / "committers")
    for _ in range(3):
        harness.orphan_reaper.tick()
    assert [record.message for record in caplog.records] == ["session_file_not_written"]


def test_an_orderly_end_leaves_nothing(harness: Harness, tmp_path: Path) -> None:
    harness.orphan_reaper.tick()
    harness.orphan_reaper.tick()
    assert len(list((tmp_path / "committers").iterdir())) == 1
    harness.orphan_reaper.unregister()
    assert list((tmp_path / "committers").iterdir()) == []


def test_each_database_has_its_own_folder() -> None:
    run_dir = Path("run")
    assert session_folder(run_dir, "mongodb://a/x") != session_folder(run_dir, "mongodb://a/y")
    assert "mongodb" not in str(session_folder(run_dir, "mongodb://user:password@a/x"))
    assert session_folder(run_dir, "mongodb://a/x").parent == run_dir


def test_a_session_file_that_was_deleted_is_written_again(tmp_path: Path) -> None:
    registry = SessionRegistry(tmp_path / "committers")
    registry.register(b"mine")
    (file,) = (tmp_path / "committers").iterdir()
    file.unlink()
    registry.touch()
    assert file.read_bytes() == b"mine"
    assert list(registry.dead()) == []
    registry.unregister()
