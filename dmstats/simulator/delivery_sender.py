"""Sends deliveries as Meta does: signed, concurrently, with retries until they get a 200."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import msgspec
import urllib3

from dmstats.core.errors import plain_reason
from dmstats.core.signature import sign
from dmstats.core.stopping import Stop
from dmstats.simulator.bodies import Delivery

ANSWER_SECONDS = 5.0
"""Meta's time-out."""
FIRST_PAUSE_SECONDS = 0.05
MAX_PAUSE_SECONDS = 1.0


class Report(msgspec.Struct):
    """The outcome of the deliveries; ``answers`` sums up the counts in all 200 answers."""

    acknowledged: int = 0
    given_up: int = 0
    retries: int = 0
    answers: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    longest_gap: float = 0.0


class DeliverySender:
    """Posts deliveries to ``url``, ``parallel`` at a time, and retries each until it gets a 200.

    A delivery is given up after ``timeout`` seconds. After ``stop`` there are no retries.
    """

    def __init__(
        self, url: str, secret: str, *, parallel: int, timeout: float, stop: Stop | None = None
    ) -> None:
        self._url = url
        self._secret = secret
        self._parallel = parallel
        self._timeout = timeout
        self._stop: Stop = stop or threading.Event()
        self._http = urllib3.PoolManager(maxsize=parallel, block=True, retries=False)
        self._lock = threading.Lock()
        self._last_answer = time.monotonic()
        self.report = Report()

    def send_all(self, deliveries: Iterable[Delivery]) -> Report:
        """Send all ``deliveries``, as they are yielded, and wait for the answers."""
        self._last_answer = time.monotonic()
        with ThreadPoolExecutor(self._parallel) as pool:
            running: set[Future[None]] = set()
            for delivery in deliveries:
                running.add(pool.submit(self._send, delivery))
                if len(running) >= self._parallel:
                    running = self._collect(running)
            for future in running:
                future.result()
        self._http.clear()
        return self.report

    @staticmethod
    def _collect(running: set[Future[None]]) -> set[Future[None]]:
        done, still = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        return still

    def _send(self, delivery: Delivery) -> None:
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(delivery.body, self._secret),
        }
        deadline = time.monotonic() + self._timeout
        pause = FIRST_PAUSE_SECONDS
        while True:
            status = self._post(delivery.body, headers)
            with self._lock:
                self.report.statuses[status] += 1
                if status == "200":
                    self.report.acknowledged += 1
                    return
                if time.monotonic() + pause > deadline or self._stop.wait(0):
                    self.report.given_up += 1
                    return
                self.report.retries += 1
            self._stop.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _post(self, body: bytes, headers: dict[str, str]) -> str:
        """The status as text, or a description of the connection error."""
        try:
            answer = self._http.request(
                "POST", self._url, body=body, headers=headers, timeout=ANSWER_SECONDS
            )
            counts = msgspec.json.decode(answer.data) if answer.status == 200 else {}
        except urllib3.exceptions.HTTPError as error:
            return plain_reason(error)
        except msgspec.DecodeError:
            return "200 without JSON"
        with self._lock:
            self.report.answers.update(counts)
            if answer.status == 200:
                now = time.monotonic()
                self.report.longest_gap = max(self.report.longest_gap, now - self._last_answer)
                self._last_answer = now
        return str(answer.status)
