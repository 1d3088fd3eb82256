"""A host's committers take turns, and none waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from dmstats.commit.fair_lock import NO_WAIT_SECONDS, FairFileLock
from dmstats.core.clock import ManualClock, SystemClock


class Committers:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.holders: list[str] = []
        self.most_at_once = 0
        self.locks: list[FairFileLock] = []
        self._now = 0

    def lock(self, *, wait_seconds: float = 5.0) -> FairFileLock:
        self.locks.append(FairFileLock(self.folder, SystemClock(), wait_seconds=wait_seconds))
        return self.locks[-1]

    def hold_repeatedly(self, name: str, times: int) -> None:
        lock = self.lock()
        for _ in range(times):
            with lock.hold():
                self._now += 1
                self.most_at_once = max(self.most_at_once, self._now)
                self.holders.append(name)
                gevent.sleep(0.003)
                self._now -= 1


@pytest.fixture
def committers(tmp_path: Path) -> Iterator[Committers]:
    committers = Committers(tmp_path / "committers")
    yield committers
    for lock in committers.locks:
        lock.close()


def test_it_works(committers: Committers) -> None:
    gevent.joinall(
        [gevent.spawn(committers.hold_repeatedly, name, 10) for name in "abc"], raise_error=True
    )
    assert len(committers.holders) == 30
    assert committers.most_at_once == 1


def test_no_holder_takes_two_turns_while_another_waits(committers: Committers) -> None:
    gevent.joinall(
        [gevent.spawn(committers.hold_repeatedly, name, 20) for name in "ab"], raise_error=True
    )
    first_both = committers.holders.index("b")
    between = "".join(committers.holders[first_both:20])
    assert "aaa" not in between
    assert "bbb" not in between


def test_a_stopped_holder_is_not_waited_for_for_long(committers: Committers) -> None:
    with committers.lock().hold():
        started = SystemClock().monotonic()
        with committers.lock(wait_seconds=0.05).hold():
            assert 0.04 < SystemClock().monotonic() - started < 30


def test_a_committer_that_timed_out_does_not_wait_again_soon(committers: Committers) -> None:
    clock = ManualClock()
    timed_out = FairFileLock(committers.folder, clock, wait_seconds=5.0)
    committers.locks.append(timed_out)
    with committers.lock().hold():
        waiting = gevent.spawn(take, timed_out)
        gevent.sleep(0.01)
        clock.advance(5)
        waiting.get(timeout=5)
        take(timed_out)  # or this would wait for ever
    clock.advance(NO_WAIT_SECONDS)
    with committers.lock().hold():
        waiting = gevent.spawn(take, timed_out)
        gevent.sleep(0.01)
        assert not waiting.ready()
        clock.advance(5)
        waiting.get(timeout=5)


def take(lock: FairFileLock) -> None:
    with lock.hold():
        pass


def test_the_lock_is_released_when_its_holder_fails(committers: Committers) -> None:
    lock = committers.lock()
    with pytest.raises(ZeroDivisionError), lock.hold():
        raise ZeroDivisionError
    committers.hold_repeatedly("a", 1)
    assert committers.holders == ["a"]


def test_a_lock_whose_files_were_deleted_is_shared_again(committers: Committers) -> None:
    old = committers.lock()
    with old.hold():
        pass
    for file in committers.folder.iterdir():
        file.unlink()
    clock = SystemClock()
    impatient = FairFileLock(committers.folder, clock, wait_seconds=0.05)
    with old.hold():
        started = clock.monotonic()
        with impatient.hold():
            assert clock.monotonic() - started >= 0.05, "both held it"
    impatient.close()


def test_without_a_folder_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    lock = FairFileLock(blocked / "committers", SystemClock())
    for _ in range(2):
        with lock.hold():
            pass
