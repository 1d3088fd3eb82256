"""A sender that repeats every POST until it is acknowledged, as Meta does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException

from benchmarks import deliveries

SENDERS = 32
ANSWER_SECONDS = 20.0
AGAIN_SECONDS = 0.05
DRAIN_SECONDS = 120.0


class Sender:
    """``rate`` POSTs of ``bodies`` a second from many threads, over connections that are kept."""

    def __init__(self, port: int, bodies: Iterator[bytes], rate: float) -> None:
        self._port = port
        self._bodies = bodies
        self._rate = rate
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stopped = threading.Event()
        self._next = time.monotonic()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]
        self._took: list[float] = []
        self.acknowledged = 0
        self.refused: Counter[str] = Counter()

    def start(self) -> None:
        """Begin."""
        self._next = time.monotonic()
        for thread in self._threads:
            thread.start()

    def drain(self) -> bool:
        """Send nothing new; whether everything was acknowledged in time."""
        self._over.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stopped.set()
        return not any(thread.is_alive() for thread in self._threads)

    def latencies(self) -> list[float]:
        """Milliseconds of the acknowledged attempts since this was last asked."""
        with self._lock:
            taken, self._took = self._took, []
        return taken

    def _due(self) -> bytes | None:
        with self._lock:
            # What could not be sent in time is not made up for all at once.
            self._next = max(self._next, time.monotonic() - 1) + 1 / self._rate
            wait = self._next - time.monotonic()
            body = next(self._bodies, None)
        time.sleep(max(0.0, wait))
        return body

    def _run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        while not self._over.is_set() and (request := self._due()) is not None:
            while not self._stopped.is_set():
                started = time.perf_counter()
                told = _post(connection, request)
                took = 1000 * (time.perf_counter() - started)
                with self._lock:
                    if told == "200":
                        self._took.append(took)
                        self.acknowledged += 1
                        break
                    self.refused[told] += 1
                time.sleep(AGAIN_SECONDS)
        connection.close()


def _post(connection: HTTPConnection, request: bytes) -> str:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:]]
    try:
        connection.request("POST", deliveries.PATH, body=body, headers=dict(lines))
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__
