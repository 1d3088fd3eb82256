"""Memory under steady load: the worker's own, while it counts and serves streams."""

from __future__ import annotations

import threading
import time

from benchmarks.contestants import ours
from benchmarks.databases import Databases
from benchmarks.harness import drive
from benchmarks.load import LoadPlan
from benchmarks.plots import line
from benchmarks.report import RAW, Result

SAMPLE_SECONDS = 2.0


def memory(databases: Databases, *, quick: bool) -> Result:
    """The worker's unshared memory and the DMs counted, sample by sample."""
    seconds = 10.0 if quick else 40.0
    samples: list[tuple[float, float]] = []
    over = threading.Event()
    with databases.fresh() as mongo, ours(databases, mongo.db.name) as web:
        drive(LoadPlan(port=web.port, seconds=2, dms=20, most=2000))
        started = time.monotonic()

        def watch() -> None:
            while not over.wait(SAMPLE_SECONDS):
                samples.append((time.monotonic() - started, web.program.worker_memory() / 2**20))

        watcher = threading.Thread(target=watch)
        watcher.start()
        counted = 0
        while time.monotonic() - started < seconds:
            counted += 20 * drive(LoadPlan(port=web.port, seconds=5, dms=20, most=5000)).answered
        over.set()
        watcher.join()
    half = len(samples) // 2
    first = sum(mb for _, mb in samples[:half]) / max(1, half)
    second = sum(mb for _, mb in samples[half:]) / max(1, len(samples) - half)
    title = f"One worker's memory, {counted:,} DMs"
    line(samples, title, RAW / "memory.png", ylabel="MiB")
    text = (
        f"![Memory of one worker under load](benchmarks/memory.png)\n\n"
        f"- {counted:,} DMs in {samples[-1][0]:.0f} s: {first:.1f} MiB in the first half, "
        f"{second:.1f} MiB in the second."
    )
    return Result(text, {"samples": samples, "dms": counted})
