"""Neighbours take turns, and nobody waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from dmstats.commit.fair_lock import NO_WAIT_SECONDS, FairFileLock
from dmstats.core.clock import ManualClock, SystemClock


class Table:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: list[str] = []
        self.most = 0
        self.seats: list[FairFileLock] = []
        self._now = 0

    def seat(self, *, wait_seconds: float = 5.0) -> FairFileLock:
        self.seats.append(FairFileLock(self.folder, SystemClock(), wait_seconds=wait_seconds))
        return self.seats[-1]

    def play(self, name: str, rounds: int) -> None:
        turns = self.seat()
        for _ in range(rounds):
            with turns.hold():
                self._now += 1
                self.most = max(self.most, self._now)
                self.taken.append(name)
                gevent.sleep(0.003)
                self._now -= 1


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path / "committers")
    yield table
    for seat in table.seats:
        seat.close()


def test_it_works(table: Table) -> None:
    gevent.joinall([gevent.spawn(table.play, name, 10) for name in "abc"], raise_error=True)
    assert len(table.taken) == 30
    assert table.most == 1


def test_nobody_takes_two_turns_while_another_waits(table: Table) -> None:
    gevent.joinall([gevent.spawn(table.play, name, 20) for name in "ab"], raise_error=True)
    first_both = table.taken.index("b")
    between = "".join(table.taken[first_both:20])
    assert "aaa" not in between
    assert "bbb" not in between


def test_a_stopped_holder_is_not_waited_for_for_long(table: Table) -> None:
    with table.seat().hold():
        started = SystemClock().monotonic()
        with table.seat(wait_seconds=0.05).hold():
            assert 0.04 < SystemClock().monotonic() - started < 1


def test_who_has_waited_in_vain_does_not_wait_again_soon(table: Table) -> None:
    clock = ManualClock()
    hurried = FairFileLock(table.folder, clock, wait_seconds=5.0)
    table.seats.append(hurried)
    with table.seat().hold():
        waiting = gevent.spawn(take, hurried)
        gevent.sleep(0.01)
        clock.advance(5)
        waiting.get(timeout=5)
        take(hurried)  # or this would wait for ever
    clock.advance(NO_WAIT_SECONDS)
    with table.seat().hold():
        waiting = gevent.spawn(take, hurried)
        gevent.sleep(0.01)
        assert not waiting.ready()
        clock.advance(5)
        waiting.get(timeout=5)


def take(turns: FairFileLock) -> None:
    with turns.hold():
        pass


def test_the_turn_goes_on_when_its_holder_fails(table: Table) -> None:
    turns = table.seat()
    with pytest.raises(ZeroDivisionError), turns.hold():
        raise ZeroDivisionError
    table.play("a", 1)
    assert table.taken == ["a"]


def test_without_a_folder_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    turns = FairFileLock(blocked / "committers", SystemClock())
    for _ in range(2):
        with turns.hold():
            pass
