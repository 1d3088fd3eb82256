"""Restarts under load: nothing lost, nothing doubled, nothing given up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import urllib3

from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.settings import Settings
from dmstats.core.signature import sign
from dmstats.db.client import Mongo, connect
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.reconciliation import PlaceSums, read_place_sums
from dmstats.embedded.attach import attach
from dmstats.simulator.bodies import Delivery, Traffic
from dmstats.simulator.delivery_sender import DeliverySender
from tests.launched import Started
from tests.servers import running, wait_until
from tests.streamworker import Worker
from tests.webserver import body

pytestmark = pytest.mark.live

PER_SECOND = 40
RETRY_SECONDS = 60.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path, WEB_CONCURRENCY="2")
    started.start()
    try:
        started.wait_ready()
        yield started
    finally:
        started.end()
        assert not started.left()


class Load:
    """Deliveries until :meth:`stop`, each sent again until it is acknowledged."""

    def __init__(self, url: str, secret: str) -> None:
        self.traffic = Traffic(seed=6, accounts=50, duplicates=0.05, batch=(1, 5))
        self._over = threading.Event()
        self.sender = DeliverySender(url + WEBHOOK_PATH, secret, parallel=4, timeout=RETRY_SECONDS)
        self._thread = threading.Thread(target=self.sender.send_all, args=[self._paced()])

    def _paced(self) -> Iterator[Delivery]:
        while not self._over.wait(1 / PER_SECOND):
            yield self.traffic.delivery(time.time_ns() // 1_000_000)

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, more: int) -> None:
        enough = self.sender.report.acknowledged + more
        wait_until(lambda: self.sender.report.acknowledged >= enough)

    def stop(self) -> None:
        self._over.set()
        self._thread.join(2 * RETRY_SECONDS)
        assert not self._thread.is_alive()


def workers(master: psutil.Process) -> set[int]:
    return {child.pid for child in master.children()}


def test_it_works(service: Started) -> None:
    """All workers are replaced while deliveries come; every place counts the same."""
    settings = Settings.from_env(attach(service.environ))
    load = Load(f"http://127.0.0.1:{service.environ['PORT']}", settings.meta_app_secrets[0])
    master = service.child("gunicorn")
    old = workers(master)
    load.start()
    try:
        load.wait_for(PER_SECOND)
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: len(new := workers(master)) == 2 and not new & old, seconds=60)
        load.wait_for(PER_SECOND)
    finally:
        load.stop()
    report = load.sender.report
    assert report.given_up == 0
    # None waited for workers that had not even started: a time-out is the 5 s that Meta waits.
    assert "ReadTimeoutError" not in report.statuses, service.output
    sent = PlaceSums(load.traffic.expected["sent"], load.traffic.expected["received"])
    with closing(connect(settings)) as mongo:
        tallies = read_place_sums(mongo, Ledger(mongo, retention_hours=168))
    assert set(tallies.values()) == {sent}, tallies


def test_readiness_goes_before_the_service_does(
    tmp_path: Path, mongo: Mongo, redis_url: str
) -> None:
    """A load balancer is told while there is still somebody who answers."""
    worker = Worker(tmp_path, mongo, redis_url, DMSTATS_DRAIN_SECONDS="3")
    delivery = body("while-it-drains")
    headers = {"X-Hub-Signature-256": sign(delivery, worker.environ["META_APP_SECRET"])}
    with running(worker):
        assert worker.process
        os.kill(worker.process.pid, signal.SIGTERM)
        wait_until(lambda: worker.get("/readyz")[0] == 503)
        assert b"shutdown" in worker.get("/readyz")[1]
        url = f"http://127.0.0.1:{worker.port}{WEBHOOK_PATH}"
        with urllib3.PoolManager(retries=False) as http:
            assert http.request("POST", url, body=delivery, headers=headers).status == 200
        assert worker.process.wait(20) == 0
