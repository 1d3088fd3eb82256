"""The number of CPUs this process may use, by its CPU affinity and its control group's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

MAX_WORKERS = 2
"""One worker commits while another parses and answers. More workers rarely help, because commits of
one host take turns (docs/scaling.md)."""


def default_workers(root: Path = Path("/")) -> int:
    """The default of WEB_CONCURRENCY. ``gunicorn.conf.py`` has a copy of this, because it must not
    import this package."""
    return min(MAX_WORKERS, cores(root))


def cores(root: Path = Path("/")) -> int:
    """Whole CPUs, at least one; ``/proc`` and ``/sys`` are read under ``root``."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min([usable, *(int(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas, in CPUs, of this process's control group and all its parents."""
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
        # In a container the path may be the host's; then only the mount itself exists.
        for folder in (group, *group.parents):
            yield from _quota(folder)
            if folder == mount:
                break


def _quota(folder: Path) -> Iterator[float]:
    """Cgroup v2 has ``cpu.max``, v1 has two files; "max" and -1 mean no limit."""
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
