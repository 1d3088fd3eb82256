"""Memory under steady load: the worker's own, while it counts and serves streams."""

from __future__ import annotations

import threading
import time

import matplotlib as mpl

from benchmarks.harness import drive
from benchmarks.load import Plan
from benchmarks.programs import Databases, ours
from benchmarks.report import RAW, Result

SAMPLE_SECONDS = 2.0


def memory(databases: Databases, *, quick: bool) -> Result:
    """The worker's unshared memory and the DMs counted, sample by sample."""
    seconds = 20.0 if quick else 150.0
    samples: list[tuple[float, float]] = []
    over = threading.Event()
    with databases.fresh() as mongo, ours(databases, mongo.db.name) as web:
        drive(Plan(port=web.port, seconds=2, dms=20, most=2000))
        started = time.monotonic()

        def watch() -> None:
            while not over.wait(SAMPLE_SECONDS):
                samples.append((time.monotonic() - started, web.program.memory() / 2**20))

        watcher = threading.Thread(target=watch)
        watcher.start()
        counted = 0
        while time.monotonic() - started < seconds:
            counted += 20 * drive(Plan(port=web.port, seconds=10, dms=20, most=8000)).answered
        over.set()
        watcher.join()
    half = len(samples) // 2
    first = sum(mb for _, mb in samples[:half]) / max(1, half)
    second = sum(mb for _, mb in samples[half:]) / max(1, len(samples) - half)
    _plot(samples, counted)
    text = (
        f"![Memory of one worker under load](benchmarks/memory.png)\n\n"
        f"- {counted:,} DMs in {samples[-1][0]:.0f} s: {first:.1f} MiB in the first half, "
        f"{second:.1f} MiB in the second."
    )
    return Result(text, {"samples": samples, "dms": counted})


def _plot(samples: list[tuple[float, float]], counted: int) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - only once the backend is chosen

    figure, axes = plt.subplots(figsize=(6, 2.6), dpi=90)
    axes.plot(*zip(*samples, strict=True), linewidth=1.5)
    axes.set(xlabel="seconds", ylabel="MiB", title=f"One worker's memory, {counted:,} DMs")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    RAW.mkdir(parents=True, exist_ok=True)
    figure.savefig(RAW / "memory.png", metadata={"Software": None})
    plt.close(figure)
