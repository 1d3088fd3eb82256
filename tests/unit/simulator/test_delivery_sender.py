"""Deliveries end in order when the sender is asked to stop."""

from __future__ import annotations

import threading
import time
from itertools import islice

import pytest

from dmstats.simulator.bodies import Traffic
from dmstats.simulator.delivery_sender import DeliverySender
from dmstats.simulator.simulation import SimulationPlan, _paced
from tests.servers import free_port

URL = f"http://127.0.0.1:{free_port()}/"


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(seed=1, accounts=2, duplicates=0, batch=(1, 1))


def test_nothing_is_sent_again_after_a_stop(stop: threading.Event, traffic: Traffic) -> None:
    sender = DeliverySender(URL, "secret", parallel=2, timeout=3600, stop=stop)
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    began = time.monotonic()
    report = sender.send_all(islice(traffic.deliveries(1), 2))
    assert time.monotonic() - began < 30
    assert (report.acknowledged, report.given_up) == (0, 2)
    timer.join()


def test_no_delivery_is_made_after_a_stop(stop: threading.Event, traffic: Traffic) -> None:
    plan = SimulationPlan(
        URL, "secret", rate=1, seconds=3600, duplicates=0, batch=(1, 1), accounts=2, seed=1,
        parallel=1, timeout=1,
    )  # fmt: skip
    deliveries = _paced(plan, traffic, lambda share: None, stop)
    next(deliveries)
    stop.set()
    assert list(deliveries) == []
