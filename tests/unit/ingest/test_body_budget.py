"""How much memory bodies may take together."""

from __future__ import annotations

import io
from typing import Any

import pytest

from dmstats.core.clock import ManualClock
from dmstats.core.errors import Unavailable
from dmstats.ingest.large_deliveries import SMALL, BodyBudget
from dmstats.ingest.webhook import BODY_KEY
from dmstats.web.middleware.timeouts import RequestTimeouts


def test_it_works() -> None:
    budget = BodyBudget(small_total=10, large_total=5)
    with budget.lease(1) as one, budget.lease(1) as other:
        one.grow(6)
        with pytest.raises(Unavailable):
            other.grow(5)
        other.grow(4)
        one.release()
        other.grow(6)
    budget.lease(1).grow(10)


def test_large_bodies_do_not_keep_deliveries_out() -> None:
    budget = BodyBudget(small_total=10, large_total=5)
    for declared in (SMALL + 1, None):
        with budget.lease(declared) as large:
            large.grow(5)
            budget.lease(declared).release()
            with pytest.raises(Unavailable):
                budget.lease(declared).grow(1)
            with budget.lease(SMALL) as small:
                small.grow(10)


def test_a_refused_body_gives_its_memory_back() -> None:
    budget = BodyBudget(large_total=5)
    with budget.lease(None) as one:
        one.grow(4)
        with pytest.raises(Unavailable):
            one.grow(2)
        budget.lease(None).grow(5)


def test_the_middleware_counts_what_arrives_until_the_answer(clock: ManualClock) -> None:
    held: list[int] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(3)
        environ["wsgi.input"].readline()
        held.append(environ[BODY_KEY]._taken)
        return []

    wrapped = RequestTimeouts(application, clock)
    for _ in range(2):
        environ = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(b"abcdef\nxyz")}
        wrapped(environ, lambda *_: None)  # type: ignore[arg-type]
    assert held == [7, 7]
    assert wrapped._budget.lease(0)._left == BodyBudget()._left
