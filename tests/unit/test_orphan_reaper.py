"""A committer's death is seen by its neighbours at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmstats.commit.orphan_reaper import (
    AGAIN_EVERY_SECONDS,
    AGAIN_FOR_SECONDS,
    SILENT_AFTER_CONFLICTS,
    OrphanedTransactionReaper,
)
from dmstats.commit.session_files import SessionRegistry, session_folder
from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable

OWN, OTHER = b"o" * 16, b"x" * 16


class FakeBeats:
    def __init__(self) -> None:
        self.beats: list[bytes] = []
        self.quiet: list[bytes] = []
        self.forgotten: list[bytes] = []

    def beat(self, session_id: bytes) -> None:
        self.beats.append(session_id)

    def silent(self) -> list[bytes]:
        return self.quiet

    def forget(self, session_id: bytes) -> None:
        self.forgotten.append(session_id)


class Harness:
    def __init__(self, folder: Path) -> None:
        self.clock, self.beats = ManualClock(), FakeBeats()
        self.killed: list[bytes] = []
        self.presence = SessionRegistry(folder)
        self.orphan_reaper = OrphanedTransactionReaper(
            self.presence, self.beats, self.killed.append, lambda: OWN, self.clock
        )


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path / "committers")
    yield harness
    harness.presence.unregister()


def neighbour(folder: Path, session_id: bytes) -> subprocess.Popen[bytes]:
    """Another process that announces itself and then waits to be killed."""
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
    harness.orphan_reaper.beat()
    with neighbour(tmp_path / "committers", OTHER) as process:
        harness.orphan_reaper.free_neighbours()
        assert harness.killed == []
        process.kill()
        process.wait()
    harness.orphan_reaper.free_neighbours()
    assert harness.killed == [OTHER]
    assert harness.beats.forgotten == [OTHER]
    harness.orphan_reaper.free_neighbours()
    assert harness.killed == [OTHER]


def _noted(looked: list[float], harness: Harness) -> Iterator[bytes]:
    looked.append(harness.clock.monotonic())
    return iter(())


def test_a_conflict_looks_for_dead_neighbours_but_not_each_time(harness: Harness) -> None:
    looked: list[float] = []
    harness.presence.dead = lambda: _noted(looked, harness)  # type: ignore[method-assign]
    for _ in range(10):
        harness.orphan_reaper.on_conflict(1)
        harness.clock.advance(0.01)
    assert len(looked) == 2


def test_a_host_that_fell_silent_is_ended_after_several_conflicts(harness: Harness) -> None:
    harness.beats.quiet = [OTHER]
    harness.orphan_reaper.on_conflict(1)
    assert harness.killed == []
    harness.orphan_reaper.on_conflict(SILENT_AFTER_CONFLICTS)
    assert harness.killed == [OTHER]


def test_what_the_dead_had_sent_is_ended_too(harness: Harness, tmp_path: Path) -> None:
    """The server may work on it only after its session was ended."""
    harness.orphan_reaper.beat()
    with neighbour(tmp_path / "committers", OTHER) as process:
        process.kill()
        process.wait()
    harness.orphan_reaper.on_conflict(1)
    once = len(harness.killed)
    harness.clock.advance(AGAIN_EVERY_SECONDS)
    harness.orphan_reaper.on_conflict(1)
    harness.orphan_reaper.on_conflict(1)
    assert len(harness.killed) == once + 1
    harness.clock.advance(AGAIN_FOR_SECONDS + 1)
    harness.orphan_reaper.on_conflict(1)
    assert len(harness.killed) == once + 1


def test_a_rescue_that_fails_is_no_reason_to_fail(harness: Harness) -> None:
    def unavailable() -> list[bytes]:
        raise StoreUnavailable

    harness.beats.silent = unavailable  # type: ignore[method-assign]
    harness.orphan_reaper.on_conflict(SILENT_AFTER_CONFLICTS)


def test_an_orderly_end_leaves_nothing(harness: Harness, tmp_path: Path) -> None:
    harness.orphan_reaper.beat()
    harness.orphan_reaper.beat()
    assert harness.beats.beats == [OWN, OWN]
    assert len(list((tmp_path / "committers").iterdir())) == 1
    harness.orphan_reaper.leave()
    assert list((tmp_path / "committers").iterdir()) == []
    assert harness.beats.forgotten == [OWN]


def test_each_database_has_its_own_folder() -> None:
    assert session_folder("mongodb://a/x") != session_folder("mongodb://a/y")
    assert "mongodb" not in str(session_folder("mongodb://user:password@a/x"))
