"""``python -m benchmarks endurance``: hours of load with restarts between, then an exact count."""

from __future__ import annotations

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Iterator, Sequence

import msgspec

from benchmarks import deliveries, report
from benchmarks.contestants import ours
from benchmarks.databases import Databases, kinds
from benchmarks.fit import slope
from benchmarks.harness import number, percentile
from benchmarks.plots import series
from benchmarks.programs import Web
from benchmarks.report import RAW, Result
from benchmarks.runs import exact, settle
from benchmarks.sender import Sender

RATE = 1_667.0
"""DMs/s: ten times the largest load that the specification names, 10,000 a minute."""
DMS = 20
ACCOUNTS = 500
AHEAD = 200
SAMPLE_SECONDS = 10.0
SETTLE_SECONDS = 60.0


class Sample(msgspec.Struct):
    """One moment: seconds since the start, the life of the service, what was and what it took."""

    at: float
    life: int
    acknowledged: int
    p50_ms: float
    p99_ms: float
    worker_mb: float
    database_mb: float
    redis_mb: float


def bodies() -> Iterator[bytes]:
    """Signed requests without end, each few made when they are wanted: their times are true."""
    for _ in itertools.count():
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
            except (ValueError, OSError):
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


class Found(msgspec.Struct):
    """All that an endurance run has found."""

    hours: float
    rate: float
    workers: int
    sent: int
    settled: bool
    refused: dict[str, int]
    counted: str
    restarts: list[float]
    samples: list[Sample]

    @property
    def is_exact(self) -> bool:
        """Whether all was acknowledged, and every counter says just that."""
        return self.settled and self.counted.startswith(f"{self.sent:,} DMs, the same in")


def told(found: Found, kind: str) -> str:
    """The run in words, with its plot."""
    minutes = [(s.at / 60, s) for s in found.samples]
    picture = f"{report.place('endurance', kind)}.png"
    series(
        {
            "ms": {
                "p50": [(at, s.p50_ms) for at, s in minutes],
                "p99": [(at, s.p99_ms) for at, s in minutes],
            },
            "MiB": {
                "a worker": [(at, s.worker_mb) for at, s in minutes],
                "Redis": [(at, s.redis_mb) for at, s in minutes],
            },
            "MiB, database": {"database": [(at, s.database_mb) for at, s in minutes]},
        },
        RAW / picture,
        marks=[at / 60 for at in found.restarts],
    )
    lines = [f"![Hours of load](benchmarks/{picture})", ""]
    lines.append(
        f"- {found.sent:,} DMs acknowledged in {number(found.hours)} h "
        f"({number(found.sent / found.hours / 3600)} a second of {number(found.rate)} asked for), "
        f"{found.workers} workers, {len(found.restarts)} restarts in order and by SIGKILL by "
        f"turns, {sum(found.refused.values()):,} POSTs sent again."
    )
    verdict = "exact" if found.is_exact else "NOT EXACT"
    lines.append(f"- Counted at the end: {found.counted}: {verdict}.")
    lines += [f"- {line}" for line in _trends(found.samples)]
    return "\n".join(lines)


def _trends(samples: Sequence[Sample]) -> Iterator[str]:
    """First and last quarter, and growth per hour within the longest life."""
    if len(samples) < 8:
        return
    quarter = len(samples) // 4
    for name, figure in (
        ("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"), ("a worker's memory, MiB", "worker_mb"),
        ("the database's memory, MiB", "database_mb"),
    ):  # fmt: skip
        first = statistics.median(getattr(s, figure) for s in samples[:quarter])
        last = statistics.median(getattr(s, figure) for s in samples[-quarter:])
        lives = itertools.groupby(samples, key=lambda s: s.life)
        longest = max((list(group) for _, group in lives), key=len)
        warm_ones = [s for s in longest if s.at > longest[0].at + SETTLE_SECONDS]
        grown = slope([(s.at / 3600, getattr(s, figure)) for s in warm_ones])
        yield (
            f"{name}: {number(first)} in the first quarter, {number(last)} in the last; within "
            f"the longest life {round(grown, 1) + 0.0:+} an hour."
        )


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
