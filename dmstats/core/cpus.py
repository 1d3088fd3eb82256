"""How many processors this process may use: by its affinity and by its control group's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MOST_WORKERS = 2
"""One worker of a host commits for all, and a second answers while it does; more bring little."""


def default_workers(root: Path = Path("/")) -> int:
    """How many web workers there are unless WEB_CONCURRENCY says so; ``gunicorn.conf.py`` has a
    copy, as it must not import this package."""
    return min(MOST_WORKERS, cores(root))


def cores(root: Path = Path("/")) -> int:
    """Whole processors, at least one; the system's files are looked for under ``root``."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min([usable, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in processors, of this process' control group and all above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / path.lstrip("/")
        # In a container the path may be the host's: then only the mount itself is there.
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == mount:
                break


def _quota(folder: Path) -> Iterator[float]:
    """Version 2 has ``cpu.max``, version 1 two files; "max" and -1 mean no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        if quota != "max" and int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):
        return
