"""Gunicorn's settings: gevent workers, each of which starts and stops its own services.

It must not import dmstats or anything that opens a socket, creates a lock or starts a thread. This
file runs in the master, and monkey-patching happens later, in each worker. Modules imported here
would keep the unpatched originals and block a worker's whole event loop.
"""

from __future__ import annotations

import contextlib
import fcntl
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


def _whole(name: str, default: int) -> int:
    given = _env(name, default)
    if not (given.isascii() and given.isdecimal()):
        _stop(f"{name}: must be a whole number, not {given!r}")
    return int(given)


def _stop(sentence: str) -> None:
    sys.stderr.write(f"dmstats: {sentence}\n")
    sys.stderr.flush()
    sys.exit(3)


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
workers = _whole("WEB_CONCURRENCY", _default_workers())
# Gunicorn's gevent worker, with a shortcut for deliveries. The master imports the module, which
# imports nothing of dmstats but a constant.
worker_class = "dmstats.gunicorn_worker.DeliveryWorker"
GEVENT = ("DeliveryWorker", "GeventWorker", "gevent")

# Streams occupy a connection if they cannot be hijacked (TLS, HTTP/1.0), and so do idle clients
# until keepalive closes them. Connections for webhooks must remain available beside these.
worker_connections = _whole("STATS_MAX_STREAMS", 1000) + 11_000

# The workers share one accept queue. With one per worker (reuse_port), the connections queued at a
# dying worker would be reset.
reuse_port = False

# The application is loaded in the worker, after monkey-patching, and never before the fork.
preload_app = False

timeout = 30
_drain_seconds = _whole("DMSTATS_DRAIN_SECONDS", 0)
graceful_timeout = 7 + _drain_seconds

# Longer than proxies keep idle connections (nginx and most load balancers: 60 s). If the service
# closed first, a request in transit would meet a closed connection, a 502. A stopping worker closes
# idle connections itself.
keepalive = 75
FIRST_SECONDS = 5
"""In which the first request line and headers of a connection must be there."""

# Single sign-on and analytics proxies set large cookies; nginx forwards up to 16 KiB.
limit_request_field_size = 16 * 1024
limit_request_fields = 128
limit_request_line = 8190

# The worker heartbeat file must not be on a busy disk: a blocked worker would be considered dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  gunicorn makes a safe name

# One socket per user, not per service: two services would fight over it.
control_socket_disable = True

# Names with an underscore are dropped: they would look like the header with a hyphen, which a proxy
# sets. By default Gunicorn takes these two from programs on this machine, such as a proxy that
# passes on what the client has sent.
header_map = "drop"
forwarder_headers = ""

accesslog = None  # the application logs its requests itself
errorlog = "-"
logger_class = "dmstats.gunicorn_log.GunicornLog"
loglevel = "info"

METRICS = "dmstats-metrics-"
METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
PROBE_BYTES = 2**20
"""More than the files of one worker's metrics have when it starts."""
WHAT_TO_DO = "Set DMSTATS_RUN_DIR to a {}folder that the service's user can write"
READY, OUTGOING, LOCK = "ready_", "outgoing", "lock"


def on_starting(server: Any) -> None:
    """Raise the limit of open files, and create the folder for this run's metrics and state files
    before the workers start."""
    _only_gevent(server)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # The workers read it from the environment.
    os.environ["DMSTATS_RUN_DIR"] = run_dir = str(_run_dir())
    given = _env(METRICS_DIR, "")
    parent = _made(METRICS_DIR, Path(given)) if given else Path(run_dir)
    _remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=METRICS, dir=parent))
    # Held until the last process of this run has ended.
    fcntl.flock(os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
    os.environ[METRICS_DIR] = str(folder)


def _only_gevent(server: Any) -> None:
    """Refuse other worker classes: they accept connections but count nothing."""
    name = server.cfg.worker_class_str if server is not None else worker_class
    if name.rpartition(".")[2] not in GEVENT:
        _stop(f"gunicorn's worker class must be gevent, not {name}: leave -k and --threads out")


def _run_dir() -> Path:
    """The folder for this run's files. The temporary folder is only the last resort, because old
    files there may be deleted while the service runs."""
    if given := _env("DMSTATS_RUN_DIR", ""):
        return _made("DMSTATS_RUN_DIR", Path(given))
    candidates = [
        Path(_env("RUNTIME_DIRECTORY", "").partition(":")[0] or os.devnull),
        Path(_env("DMSTATS_DATA_DIR", "var")) / "run",
    ]
    for candidate in candidates:
        with contextlib.suppress(OSError):
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.access(candidate, os.W_OK):
                return candidate.absolute()
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:
        _stop(f"no folder for the running service's files. {WHAT_TO_DO.format('')}")
        raise
    sys.stderr.write(
        f"dmstats: the running service's files are in {folder}, where they may be deleted."
        f" {WHAT_TO_DO.format('better ')}\n"
    )
    return folder


def _made(name: str, folder: Path) -> Path:
    """Create a configured folder; exit with a message if it cannot be used."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.absolute()
    except OSError as error:
        _stop(
            f"{name}: {error.strerror}: {folder}. Name a folder that the service's user"
            f" (uid {os.getuid()}) can write, or create it for that user"
        )
        raise


def _remove_abandoned(parent: Path) -> None:
    """Delete the folders of masters that were killed; their locks are free."""
    for folder in parent.glob(f"{METRICS}*"):
        with contextlib.suppress(OSError), (folder / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _run_folder() -> Path:
    """This run's folder, created again if something deleted it. It may be unusable."""
    folder = Path(os.environ.get(METRICS_DIR) or _unusable[-1])
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


_unusable: list[str] = []
"""This run's folder, in a worker that cannot write its metrics there."""


def _choose_metrics() -> None:
    """Keep this worker's metrics in this run's folder, or else in its memory.

    If it could not open its files, it would not start. It maps them into its memory, so on a full
    disk its first write would kill it.
    """
    folder = _run_folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(PROBE_BYTES))
    except OSError as error:
        _unusable.append(os.environ.pop(METRICS_DIR))
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"dmstats: {error.strerror}: {folder}. /metrics of the starting worker has only its"
                f" own figures. {WHAT_TO_DO.format('')}\n"
            )


def _allocate(folder: Path, pid: int) -> None:
    """Take the disk space of a worker's metrics now, when there is enough."""
    for file in folder.glob(f"*_{pid}.db"):
        with contextlib.suppress(OSError, AttributeError), file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def post_fork(server: Any, worker: Any) -> None:
    # Until the application is loaded: what is imported is no garbage, and searching it for some
    # takes a tenth of the start.
    gc.disable()
    _choose_metrics()
    # A worker inherits the master's signal handlers, which only queue signals for the master. Until
    # the worker installs its own, a signal would be lost and the master would wait to kill it.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _limit_first_request(worker: Any) -> None:
    """Give a new connection less time than a kept-alive one. Otherwise a client that connects and
    sends nothing, or never finishes its headers, could occupy it for as long as a proxy."""
    import gevent  # noqa: PLC0415 - in the worker, where it has patched already

    def timeout_ctx() -> Any:
        connection = gevent.getcurrent()  # gunicorn has a greenlet for each
        known = getattr(connection, "dmstats_known", False)
        connection.dmstats_known = True
        return gevent.Timeout(keepalive if known else FIRST_SECONDS, exception=False)

    worker.timeout_ctx = timeout_ctx


def post_worker_init(worker: Any) -> None:
    _limit_first_request(worker)
    services = worker.wsgi.extensions["dmstats"]
    services.start(lambda: worker.alive)
    # Exclude everything loaded so far from garbage collection, which would delay requests.
    gc.collect()
    gc.freeze()
    gc.enable()
    folder = _run_folder()
    _allocate(folder, worker.pid)
    with contextlib.suppress(OSError):
        (folder / f"{READY}{worker.pid}").touch()
    # SIGHUP is for the master, which replaces its workers in turn; `killall -HUP` and a closed
    # terminal send it to the workers as well.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Gunicorn's own handler closes the socket. Before that, the successors must be ready, or load
    # balancers must have noticed that /readyz returns 503.
    signal.signal(
        signal.SIGTERM,
        lambda number, frame: services.drain(
            lambda: worker.handle_exit(number, frame), lambda: _must_wait(worker.pid)
        ),
    )


def on_reload(server: Any) -> None:
    """Record the workers being replaced: gunicorn stops them before their successors start."""
    with contextlib.suppress(OSError):
        (_run_folder() / OUTGOING).write_text(" ".join(str(pid) for pid in server.WORKERS))


def _must_wait(pid: int) -> bool:
    """Whether this worker is being replaced, and its successors are not all ready."""
    outgoing: set[str] = set()
    with contextlib.suppress(OSError):
        outgoing = set((_run_folder() / OUTGOING).read_text().split())
    ready = {file.name.removeprefix(READY) for file in _run_folder().glob(f"{READY}*")}
    return str(pid) in outgoing and len(ready - outgoing) < workers


def worker_exit(server: Any, worker: Any) -> None:
    # Ignore repeated signals, from the master or from Ctrl-C in the terminal: they must not
    # interrupt the shutdown below.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    app = getattr(worker, "wsgi", None)  # absent if the application could not be loaded
    if app is not None:
        app.extensions["dmstats"].stop()


def child_exit(server: Any, worker: Any) -> None:
    """Delete a dead worker's ready file and live gauges. This replaces ``mark_process_dead``, which
    must not be imported here (see above)."""
    folder = _run_folder()
    for file in (folder / f"{READY}{worker.pid}", *folder.glob(f"gauge_live*_{worker.pid}.db")):
        with contextlib.suppress(OSError):
            file.unlink()


def on_exit(server: Any) -> None:
    shutil.rmtree(_run_folder(), ignore_errors=True)
