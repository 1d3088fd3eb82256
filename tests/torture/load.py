"""Sends a mixer's POSTs, many at once, and notes when each was answered."""

from __future__ import annotations

import threading
import time
from collections import Counter

import urllib3

from dmstats.core.signature import sign
from dmstats.simulator.delivery_sender import ANSWER_SECONDS
from tests.torture.events import Mixer, Post

IDLE_SECONDS = 0.05
REFUSED_SECONDS = 0.05
SLOW_SECONDS = 3.0


class Load:
    """``parallel`` senders; ``answered`` holds the monotonic time of every 200."""

    def __init__(self, mixer: Mixer, url: str, secret: str, *, parallel: int) -> None:
        self._mixer = mixer
        self._url = url
        self._secret = secret
        self._http = urllib3.PoolManager(maxsize=parallel, block=True, retries=False)
        self._fresh = True
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(parallel)]
        self.answered: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.slow: list[float] = []

    def start(self) -> None:
        """Begin sending."""
        for thread in self._threads:
            thread.start()

    def drain(self, seconds: float) -> bool:
        """Make nothing new; whether everything was acknowledged within ``seconds``."""
        self._fresh = False
        deadline = time.monotonic() + seconds
        while self._mixer.unsettled() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self._mixer.unsettled()

    def stop(self) -> None:
        """End the senders."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)
        self._http.clear()

    def _run(self) -> None:
        while not self._over.is_set():
            post = self._mixer.next(fresh=self._fresh)
            if post is None:
                time.sleep(IDLE_SECONDS)
                continue
            acknowledged = False
            try:
                acknowledged = self._send(post)
            finally:
                self._mixer.done(post, acknowledged=acknowledged)
            if not acknowledged:
                time.sleep(REFUSED_SECONDS)

    def _send(self, post: Post) -> bool:
        headers = {
            "Content-Type": "application/json",
            "X-Hub-Signature-256": sign(post.body, self._secret),
        }
        started = time.monotonic()
        try:
            answer = self._http.request(
                "POST", self._url, body=post.body, headers=headers, timeout=ANSWER_SECONDS
            )
            status = str(answer.status)
        except urllib3.exceptions.HTTPError as error:
            status = type(error).__name__
        now = time.monotonic()
        with self._lock:
            self.statuses[status] += 1
            if status == "200":
                self.answered.append(now)
            if status.isdecimal() and now - started > SLOW_SECONDS:
                self.slow.append(now - started)
        return status == "200"
