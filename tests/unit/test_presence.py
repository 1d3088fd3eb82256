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
    Rescue,
)
from dmstats.commit.session_files import Presence, folder_for
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


class House:
    def __init__(self, folder: Path) -> None:
        self.clock, self.beats = ManualClock(), FakeBeats()
        self.killed: list[bytes] = []
        self.presence = Presence(folder)
        self.rescue = Rescue(self.presence, self.beats, self.killed.append, lambda: OWN, self.clock)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "committers")
    yield house
    house.presence.withdraw()


def neighbour(folder: Path, session_id: bytes) -> subprocess.Popen[bytes]:
    """Another process that announces itself and then waits to be killed."""
    code = (
        "import sys, pathlib; from dmstats.commit.session_files import Presence;"
        f"presence = Presence(pathlib.Path({str(folder)!r})); presence.announce({session_id!r});"
        "print('here', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    return process


def test_it_works(house: House, tmp_path: Path) -> None:
    house.rescue.beat()
    with neighbour(tmp_path / "committers", OTHER) as process:
        house.rescue.free_neighbours()
        assert house.killed == []
        process.kill()
        process.wait()
    house.rescue.free_neighbours()
    assert house.killed == [OTHER]
    assert house.beats.forgotten == [OTHER]
    house.rescue.free_neighbours()
    assert house.killed == [OTHER]


def _noted(looked: list[float], house: House) -> Iterator[bytes]:
    looked.append(house.clock.monotonic())
    return iter(())


def test_a_conflict_looks_for_dead_neighbours_but_not_each_time(house: House) -> None:
    looked: list[float] = []
    house.presence.dead = lambda: _noted(looked, house)  # type: ignore[method-assign]
    for _ in range(10):
        house.rescue.on_conflict(1)
        house.clock.advance(0.01)
    assert len(looked) == 2


def test_a_host_that_fell_silent_is_ended_after_several_conflicts(house: House) -> None:
    house.beats.quiet = [OTHER]
    house.rescue.on_conflict(1)
    assert house.killed == []
    house.rescue.on_conflict(SILENT_AFTER_CONFLICTS)
    assert house.killed == [OTHER]


def test_what_the_dead_had_sent_is_ended_too(house: House, tmp_path: Path) -> None:
    """The server may work on it only after its session was ended."""
    house.rescue.beat()
    with neighbour(tmp_path / "committers", OTHER) as process:
        process.kill()
        process.wait()
    house.rescue.on_conflict(1)
    once = len(house.killed)
    house.clock.advance(AGAIN_EVERY_SECONDS)
    house.rescue.on_conflict(1)
    house.rescue.on_conflict(1)
    assert len(house.killed) == once + 1
    house.clock.advance(AGAIN_FOR_SECONDS + 1)
    house.rescue.on_conflict(1)
    assert len(house.killed) == once + 1


def test_a_rescue_that_fails_is_no_reason_to_fail(house: House) -> None:
    def unavailable() -> list[bytes]:
        raise StoreUnavailable

    house.beats.silent = unavailable  # type: ignore[method-assign]
    house.rescue.on_conflict(SILENT_AFTER_CONFLICTS)


def test_an_orderly_end_leaves_nothing(house: House, tmp_path: Path) -> None:
    house.rescue.beat()
    house.rescue.beat()
    assert house.beats.beats == [OWN, OWN]
    assert len(list((tmp_path / "committers").iterdir())) == 1
    house.rescue.leave()
    assert list((tmp_path / "committers").iterdir()) == []
    assert house.beats.forgotten == [OWN]


def test_each_database_has_its_own_folder() -> None:
    assert folder_for("mongodb://a/x") != folder_for("mongodb://a/y")
    assert "mongodb" not in str(folder_for("mongodb://user:password@a/x"))
