"""``python -m benchmarks endurance``: hours of load with restarts between, then an exact count."""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence

import msgspec
import psutil

from benchmarks import deliveries, report
from benchmarks.contestants import ours
from benchmarks.databases import Databases, kinds
from benchmarks.endured import Found, Sample, told
from benchmarks.harness import percentile
from benchmarks.programs import Web
from benchmarks.report import Result
from benchmarks.runs import exact, settle
from benchmarks.sender import Sender

RATE = 1_667.0
"""DMs/s: ten times the largest load that the specification names, 10,000 a minute."""
DMS = 20
ACCOUNTS = 500
AHEAD = 200
SAMPLE_SECONDS = 10.0


def bodies() -> Iterator[bytes]:
    """Signed requests without end, each few made when they are wanted: their times are true."""
    while True:
        yield from deliveries.requests(AHEAD, dms=DMS, accounts=ACCOUNTS)


class Watch:
    """Takes a sample every ten seconds, until it is told to end."""

    def __init__(self, databases: Databases, web: Web, sender: Sender) -> None:
        self._databases = databases
        self._web = web
        self._sender = sender
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = time.monotonic()
        self.life = 0
        self.samples: list[Sample] = []
        self.restarts: list[float] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def restart(self, *, crash: bool) -> None:
        """End the service, in order or not, and start it again."""
        self.restarts.append(time.monotonic() - self._started)
        self.life = -abs(self.life) - 1  # no sample while it starts
        if crash:
            self._web.program.kill()
        else:
            self._web.program.end()
        self._web.program.start()
        self.life = abs(self.life)

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            life = self.life
            try:
                worker = max(p.memory_full_info().uss for p in self._web.program.family())
            except (ValueError, OSError, psutil.Error):  # it is just being started again
                continue
            took = self._sender.latencies()
            if life < 0 or life != self.life:
                continue
            sample = Sample(
                at=time.monotonic() - self._started,
                life=life,
                acknowledged=self._sender.acknowledged,
                p50_ms=percentile(took, 0.5),
                p99_ms=percentile(took, 0.99),
                worker_mb=worker / 2**20,
                database_mb=self._databases.memory() / 2**20,
                redis_mb=self._databases.redis_memory() / 2**20,
            )
            self.samples.append(sample)
            print(f"  {sample}", flush=True)


def endure(
    databases: Databases, *, hours: float, restarts: int, rate: float, workers: int
) -> Result:
    """The whole run; what it found."""
    seconds = hours * 3600
    with databases.fresh() as mongo:
        settle(mongo.db, ACCOUNTS)
        with ours(databases, mongo.db.name, workers=workers) as web:
            sender = Sender(web.port, bodies(), rate=rate / DMS)
            watch = Watch(databases, web, sender)
            sender.start()
            watch.start()
            began = time.monotonic()
            for number_of in range(1, restarts + 1):
                _wait_until(began + seconds * number_of / (restarts + 1))
                # In order and by a crash, by turns.
                watch.restart(crash=number_of % 2 == 0)
            _wait_until(began + seconds)
            watch.stop()
            settled = sender.drain()
            counted = exact(mongo)
    found = Found(
        hours=hours, rate=rate, workers=workers, sent=sender.acknowledged * DMS, settled=settled,
        refused=dict(sender.refused), counted=counted, restarts=watch.restarts,
        samples=watch.samples,
    )  # fmt: skip
    return Result(told(found, databases.kind), msgspec.to_builtins(found))


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def main(arguments: Sequence[str]) -> int:
    """Run it as told; 1 if the count was not exact."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks endurance", description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--rate", type=float, default=RATE, help="DMs/s (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--database", choices=kinds(), default=kinds()[-1])
    given = parser.parse_args(arguments)
    databases = Databases(given.database)
    try:
        about = report.machine(databases)
        print(about, flush=True)
        result = endure(
            databases, hours=given.hours, restarts=given.restarts, rate=given.rate,
            workers=given.workers,
        )  # fmt: skip
    finally:
        databases.close()
    report.write(report.place("endurance", given.database), result, about, quick=given.hours < 1)
    print(f"\n{result.markdown}", flush=True)
    return 0 if msgspec.convert(result.raw, Found).is_exact else 1
