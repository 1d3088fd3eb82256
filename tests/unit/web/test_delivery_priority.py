"""A worker answers one request at a time beside deliveries; a long one blocks no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from dmstats.core.clock import ManualClock
from dmstats.web.middleware.delivery_priority import MAX_WAIT_SECONDS, DeliveryPriority

FOREVER = 3600.0


class Worker:
    """A worker whose requests wait until ``go`` is set; each of them ``lasts`` so many seconds.
    Deliveries wait for their commit once ``delivering_after`` requests were answered."""

    def __init__(
        self, *, slot_seconds: float = FOREVER, lasts: float = 0.0, delivering_after: int = 1000
    ) -> None:
        self.clock, self.go = ManualClock(), Event()
        self.running = 0
        self.most = 0
        self.answered: list[str] = []
        self._lasts = lasts
        self._priority = DeliveryPriority(
            self._application,
            lambda: len(self.answered) >= delivering_after,
            self.clock,
            slot_seconds=slot_seconds,
        )

    def ask(
        self, path: str = "/", method: str = "GET", server: str = "gunicorn"
    ) -> gevent.Greenlet:
        environ = {"PATH_INFO": path, "REQUEST_METHOD": method, f"{server}.socket": None}
        return gevent.spawn(self._priority, environ, lambda *_: lambda _: None)

    def _application(self, environ: Any, start_response: Any) -> list[bytes]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            self.clock.advance(self._lasts)
            self.go.wait()
            if environ["PATH_INFO"] == "/defect":
                raise RuntimeError
        finally:
            self.running -= 1
        self.answered.append(environ["PATH_INFO"])
        return []


def settle() -> None:
    """Let everything run that is ready."""
    gevent.idle()
    gevent.idle()


def test_one_after_the_other_in_the_order_of_arrival() -> None:
    worker = Worker()
    requests = [worker.ask(f"/{n}") for n in range(5)]
    settle()
    assert worker.running == 1
    worker.go.set()
    gevent.joinall(requests, raise_error=True)
    assert worker.answered == [f"/{n}" for n in range(5)]
    assert worker.most == 1


def test_a_failed_request_releases_the_slot() -> None:
    worker = Worker()
    worker.go.set()
    defect = worker.ask("/defect")
    gevent.joinall([defect, worker.ask("/next")])
    assert isinstance(defect.exception, RuntimeError)
    assert worker.answered == ["/next"]


def test_the_next_request_starts_beside_a_long_one() -> None:
    worker = Worker(slot_seconds=0.001)
    requests = [worker.ask() for _ in range(3)]
    while worker.running < 3:
        gevent.sleep(0.001)
    worker.go.set()
    gevent.joinall(requests, raise_error=True)
    worker.ask().join()
    assert len(worker.answered) == 4


@pytest.mark.parametrize(
    "ask",
    [
        lambda worker: worker.ask("/healthz"),
        lambda worker: worker.ask("/readyz", "HEAD"),
        lambda worker: worker.ask("/metrics"),
        lambda worker: worker.ask("/login", "POST"),
        lambda worker: worker.ask(server="waitress"),
    ],
)
def test_it_does_not_wait(ask: Callable[[Worker], gevent.Greenlet]) -> None:
    worker = Worker()
    requests = [worker.ask(), ask(worker)]
    settle()
    assert worker.running == 2
    worker.go.set()
    gevent.joinall(requests, raise_error=True)


@pytest.mark.parametrize(("delivering_after", "answered"), [(0, 1), (1, 1), (2, 2), (1000, 2)])
def test_beside_deliveries_there_is_a_pause_after_a_request(
    delivering_after: int, answered: int
) -> None:
    worker = Worker(lasts=60.0, delivering_after=delivering_after)
    worker.go.set()
    worker.ask().join()
    second = worker.ask()
    settle()
    assert len(worker.answered) == answered
    second.kill()


@pytest.mark.parametrize(("waited", "answered"), [(0.0, 2), (MAX_WAIT_SECONDS, 3)])
def test_in_a_long_queue_there_is_none(waited: float, answered: int) -> None:
    worker = Worker(lasts=60.0, delivering_after=2)
    requests = [worker.ask() for _ in range(3)]
    settle()
    worker.clock.advance(waited)
    worker.go.set()
    settle()
    assert len(worker.answered) == answered
    gevent.killall(requests)


def test_after_a_request_that_took_no_time_there_is_none() -> None:
    worker = Worker(delivering_after=0)
    worker.go.set()
    gevent.joinall([worker.ask() for _ in range(3)], raise_error=True)
    assert len(worker.answered) == 3
