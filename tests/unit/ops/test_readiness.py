"""/readyz asks the database once a second at most, however many ask."""

from __future__ import annotations

import threading
import time

from dmstats.core.clock import ManualClock
from dmstats.core.errors import StoreUnavailable
from dmstats.ops.readiness import VALID_SECONDS, Readiness


class Database:
    """Takes a commit or not, slowly; ``tries`` were made."""

    def __init__(self, *, seconds: float = 0.0) -> None:
        self.tries = 0
        self.down = False
        self._seconds = seconds

    def try_commit(self) -> None:
        self.tries += 1
        time.sleep(self._seconds)
        if self.down:
            raise StoreUnavailable("not now")


def test_it_works() -> None:
    database, clock = Database(), ManualClock()
    readiness = Readiness(database.try_commit, clock)
    assert readiness.failure() is None
    database.down = True
    clock.advance(VALID_SECONDS / 2)
    assert readiness.failure() is None
    assert database.tries == 1
    clock.advance(VALID_SECONDS / 2)
    assert str(readiness.failure()) == "not now"
    assert str(readiness.failure()) == "not now"
    database.down = False
    clock.advance(VALID_SECONDS)
    assert readiness.failure() is None
    assert database.tries == 3


def test_requests_that_come_together_wait_for_one_try() -> None:
    database = Database(seconds=0.1)
    readiness = Readiness(database.try_commit, ManualClock())
    threads = [threading.Thread(target=readiness.failure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.tries == 1
