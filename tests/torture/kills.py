"""Kills the service's parts at random, by a seed, and records when."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec
import psutil

from tests.torture.service import Service

KINDS: Mapping[str, float] = {
    "worker": 6,
    "worker paused": 1.5,
    "database": 3,
    "database paused": 1.5,
    "redis": 1.5,
    "web server": 1,
    "launcher": 1,
}
"""What is killed (SIGKILL) or paused (SIGSTOP, then SIGCONT), and its relative frequency."""

MIN_SECONDS = 2.0
TOGETHER_SHARE = 0.12
"""The share of kills that are followed by another one within a second."""
PAUSE_SECONDS = (0.5, 4.0)
LOOK_SECONDS = 0.02
BACK_SECONDS = 60.0


class Kill(msgspec.Struct):
    """One kill; ``at`` is monotonic. ``alone``: the service had recovered from the one before,
    and nothing else was killed beside it. ``back``: when the database that was killed took
    connections again. ``over``: when what was paused went on."""

    kind: str
    at: float
    alone: bool = True
    back: float | None = None
    over: float | None = None


class Killer(threading.Thread):
    """Kills something every ``every`` seconds on average, until :meth:`stop`.

    ``recovered(since)`` tells whether the service has answered 200 after the moment ``since``.
    """

    def __init__(
        self,
        service: Service,
        kinds: Sequence[str],
        *,
        seed: int,
        every: float,
        recovered: Callable[[float], bool],
        say: Callable[[str], None],
    ) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._kinds = kinds
        self._random = random.Random(seed)
        self._every = every
        self._recovered = recovered
        self._say = say
        self._over = threading.Event()
        self.kills: list[Kill] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        """Kill nothing more; returns when everything that was paused or ended runs again."""
        self._over.set()
        self.join()

    def _run(self) -> None:
        deck: list[str] = list(self._kinds)  # so that a short run meets each kind once
        while self._kinds and not self._over.wait(
            max(MIN_SECONDS, self._random.expovariate(1 / self._every))
        ):
            since = self.kills[-1].at if self.kills else 0.0
            while self.kills and not self._recovered(since):
                if self._over.wait(0.05):
                    return
            kind = deck.pop(self._random.randrange(len(deck))) if deck else self._choose()
            self._kill(kind, alone=True)
            if not deck and self._random.random() < TOGETHER_SHARE:
                self.kills[-1].alone = False
                time.sleep(self._random.random())
                self._kill(self._choose(), alone=False)

    def _choose(self) -> str:
        return self._random.choices(self._kinds, [KINDS[kind] for kind in self._kinds])[0]

    def _kill(self, kind: str, *, alone: bool) -> None:
        victim = self._victim(kind)
        if victim is None:
            return  # it is only just being started again
        self.kills.append(Kill(kind, time.monotonic(), alone))
        self._say(f"{kind} (process {victim.pid})")
        with suppress(psutil.NoSuchProcess):
            if not kind.endswith("paused"):
                victim.send_signal(signal.SIGKILL)
                if kind == "launcher":
                    victim.wait(5)
                    self._service.keep_running()
                elif kind == "database":
                    threading.Thread(target=self._await_database, args=(self.kills[-1],)).start()
                return
            victim.send_signal(signal.SIGSTOP)
            try:
                self._over.wait(self._random.uniform(*PAUSE_SECONDS))
            finally:
                victim.send_signal(signal.SIGCONT)
                self.kills[-1].over = time.monotonic()

    def _await_database(self, kill: Kill) -> None:
        """A large process takes a while to die: it must have stopped answering first."""
        gone = False
        while time.monotonic() < kill.at + BACK_SECONDS:
            answers = self._service.database_answers()
            if gone and answers:
                kill.back = time.monotonic()
                return
            gone = gone or not answers
            time.sleep(LOOK_SECONDS)

    def _victim(self, kind: str) -> psutil.Process | None:
        if kind.startswith("worker"):
            workers = self._service.workers()
            return self._random.choice(workers) if workers else None
        if kind == "launcher":
            return self._service.launcher()
        if kind.startswith("database"):
            return self._service.database()
        return self._service.part({"redis": "redis-server", "web server": "gunicorn"}[kind])
