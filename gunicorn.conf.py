"""Gunicorn's settings: gevent workers, each of which starts and stops its own services.

Imports nothing of dmstats and nothing that opens a socket, makes a lock or starts a thread: this
file is read in the master, and monkey-patching comes later, in each worker. Whatever were imported
here would keep the unpatched originals and block the worker's whole event loop.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _env(name: str, default: int | str) -> str:
    return os.environ.get(name, "").strip() or str(default)


def _quotas(root: Path) -> Iterator[float]:
    """The control groups' quotas, in processors; as dmstats.core.cpus reads them."""
    record = root / "proc/self/cgroup"
    for line in record.read_text().splitlines() if record.exists() else ():
        _, controllers, path = line.split(":", 2)
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = mount / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):
                if (folder / "cpu.max").exists():
                    quota, period = (folder / "cpu.max").read_text().split()
                else:
                    quota = (folder / "cpu.cfs_quota_us").read_text()
                    period = (folder / "cpu.cfs_period_us").read_text()
                if quota != "max" and int(quota) > 0:
                    yield int(quota) / int(period)
            if folder == mount:
                break


def _default_workers(root: Path = Path("/")) -> int:
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min([2, usable, *(int(quota) for quota in _quotas(root))]))


_host = _env("HOST", "127.0.0.1")
bind = f"[{_host}]:{_env('PORT', 8000)}" if ":" in _host else f"{_host}:{_env('PORT', 8000)}"
workers = int(_env("WEB_CONCURRENCY", _default_workers()))
worker_class = "gevent"

# Streams hold a connection where they cannot be taken over (TLS, HTTP/1.0), and so does everybody
# who connects and says nothing until keepalive ends it: there must be room for the webhooks beside
# all of them.
worker_connections = int(_env("STATS_MAX_STREAMS", 1000)) + 11_000

# The queue of new connections is shared: with one per worker (reuse_port), those that wait at a
# worker that dies would be reset.
reuse_port = False

# The application is loaded in the worker, after monkey-patching, and never before the fork.
preload_app = False

timeout = 30
_drain_seconds = int(_env("DMSTATS_DRAIN_SECONDS", 0))
graceful_timeout = 7 + _drain_seconds
keepalive = 5

# The heartbeat file must not wait for a busy disk: a worker that does would be taken for dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  gunicorn makes a safe name

# One socket per user, not per service: two services would fight over it.
control_socket_disable = True

accesslog = None  # the application logs its requests itself
errorlog = "-"
loglevel = "info"

READY, OUTGOING = "ready_", "outgoing"


def on_starting(server: Any) -> None:
    """Allow as many connections as the system does, and give this run's metrics and notes a folder
    of their own (inside a given one), before any worker."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    parent = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or None
    if parent:
        try:
            Path(parent).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            sys.exit(f"PROMETHEUS_MULTIPROC_DIR: {parent} cannot be created: {error.strerror}")
    folder = tempfile.mkdtemp(prefix="dmstats-metrics-", dir=parent)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder


def _run_folder() -> Path:
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


def post_fork(server: Any, worker: Any) -> None:
    # A worker begins with the master's handlers, whose queue only the master reads: until it has
    # its own, a signal would be lost, and the master wait until it may kill.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def post_worker_init(worker: Any) -> None:
    services = worker.wsgi.extensions["dmstats"]
    services.start(lambda: worker.alive)
    # What is there now stays: no collection needs to walk through it again, with requests waiting.
    gc.collect()
    gc.freeze()
    (_run_folder() / f"{READY}{worker.pid}").touch()
    # Gunicorn's own handler closes the socket: successors must be there before, and a load
    # balancer know.
    signal.signal(
        signal.SIGTERM,
        lambda number, frame: services.leave(
            lambda: worker.handle_exit(number, frame), lambda: _has_to_wait(worker.pid)
        ),
    )


def on_reload(server: Any) -> None:
    """Note whose successors come now: gunicorn ends them before those have even started."""
    (_run_folder() / OUTGOING).write_text(" ".join(str(pid) for pid in server.WORKERS))


def _has_to_wait(pid: int) -> bool:
    """Whether this worker is being replaced, and its successors are not all ready."""
    note = _run_folder() / OUTGOING
    outgoing = set(note.read_text().split()) if note.exists() else set()
    ready = {file.name.removeprefix(READY) for file in _run_folder().glob(f"{READY}*")}
    return str(pid) in outgoing and len(ready - outgoing) < workers


def worker_exit(server: Any, worker: Any) -> None:
    # They may come again: from the master, which repeats SIGTERM, or by Ctrl-C, which a terminal
    # sends to all. None of them may cut the stop below short.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    app = getattr(worker, "wsgi", None)  # absent where the application could not be loaded
    if app is not None:
        app.extensions["dmstats"].stop()


def child_exit(server: Any, worker: Any) -> None:
    """Forget a dead worker, and its live gauges: ``mark_process_dead`` without its import (see
    above)."""
    folder = _run_folder()
    (folder / f"{READY}{worker.pid}").unlink(missing_ok=True)
    for file in folder.glob(f"gauge_live*_{worker.pid}.db"):
        file.unlink(missing_ok=True)


def on_exit(server: Any) -> None:
    shutil.rmtree(_run_folder(), ignore_errors=True)
