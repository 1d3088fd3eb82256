"""Processors are counted as the container limits them; gunicorn.conf.py counts the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from dmstats.core.cpus import cores, default_workers
from tests.unit.project.test_packaging import conf

V2 = "0::/\n"
V2_HOST_PATH = "0::/kubepods/pod1/c1\n"
V1 = "12:memory:/docker/c1\n4:cpu,cpuacct:/docker/c1\n0::/\n"


def tree(root: Path, groups: str, files: Mapping[str, str]) -> Path:
    """A root folder with this process' control groups and their ``files``."""
    for name, content in {"proc/self/cgroup": groups, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {}, 8),
        (V2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        (V2, {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1),
        (V2, {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (V2, {"sys/fs/cgroup/cpu.max": "25000 100000\n"}, 1),
        (V2, {"sys/fs/cgroup/cpu.max": "nonsense\n"}, 8),
        (V2_HOST_PATH, {"sys/fs/cgroup/kubepods/cpu.max": "200000 100000\n"}, 2),
        (V2_HOST_PATH, {"sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/docker/c1/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/docker/c1/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            V1,
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
    ],
)
def test_quota(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    groups: str,
    files: Mapping[str, str],
    expected: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    root = tree(tmp_path, groups, files)
    assert cores(root) == expected
    assert default_workers(root) == min(2, expected)
    assert conf(monkeypatch)._default_workers(root) == min(2, expected)


def test_without_control_groups_the_affinity_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert cores(tmp_path) == default_workers(tmp_path) == 1
