"""The service that is killed: finds its processes and starts it again."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
from pymongo.uri_parser import parse_uri

from dmstats.embedded.attach import attach
from tests.servers import Secantus, bare_environ, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


class Service:
    """``python -m dmstats`` with a data folder and a port of its own.

    ``server`` is the program of a database to run beside it, instead of the embedded one.
    """

    def __init__(
        self, folder: Path, *, workers: int, retention_hours: int, server: Path | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._database = Secantus(folder / "mongodb", program=server) if server else None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "service.log"
        self.environ = {
            **bare_environ(),
            "DMSTATS_DATA_DIR": str(folder / "var"),
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(workers),
            "LEDGER_RETENTION_HOURS": str(retention_hours),
            "PYTHONUNBUFFERED": "1",
        }
        if self._database:
            self.environ["MONGODB_URI"] = self._database.uri
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        # Starting it again and ending it must not happen at once.
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it and wait until it can count."""
        if self._database:
            self._database.start()
        with self._lock:
            self._launch()
        wait_until(self._ready_at_first, seconds=READY_SECONDS)

    def recover(self) -> None:
        """Wait until it can count, starting it again as often as it takes.

        The last kill may have hit the launcher: the web server that still answers may be its
        orphan, and a launcher that starts before the orphans have ended exits by itself.
        """

        def up() -> bool:
            self.keep_running()
            return bool(self.workers()) and self.ready()

        wait_until(up, seconds=READY_SECONDS)

    def keep_running(self) -> None:
        """Start what has ended again, as an init system does."""
        with self._lock:
            database = self._database
            if database and database.process and database.process.poll() is not None:
                database.launch()
            if self._process and self._process.poll() is not None:
                self.starts += 1
                self._launch()

    def stop(self) -> None:
        """End it in order."""
        with self._lock:
            if self._process:
                self._process.terminate()
                try:
                    self._process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait(STOP_SECONDS)
                self._process = None
            if self._database:
                self._database.stop()

    def ready(self) -> bool:
        """Whether it reports that it is ready."""
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def settings(self) -> dict[str, str]:
        """The environment in which a command finds this service's database and secrets."""
        return attach(self.environ)

    def launcher(self) -> psutil.Process | None:
        """The process that was started."""
        return psutil.Process(self._process.pid) if self._process else None

    def database(self) -> psutil.Process | None:
        """MongoDB's process, if it runs now."""
        if self._database is None:
            return self.part("secantus")
        process = self._database.process
        return psutil.Process(process.pid) if process and process.poll() is None else None

    def database_answers(self) -> bool:
        """Whether MongoDB takes connections. Not while the launcher, which starts it, is killed as
        well."""
        uri = self.settings().get("MONGODB_URI")
        if uri is None:
            return False
        address = parse_uri(uri)["nodelist"][0]
        with suppress(OSError), socket.create_connection(address, timeout=0.2):
            return True
        return False

    def part(self, name: str) -> psutil.Process | None:
        """The launcher's child whose command line holds ``name``, if it runs now."""
        with suppress(psutil.NoSuchProcess):
            launcher = self.launcher()
            for child in launcher.children() if launcher else ():
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    line = " ".join(child.cmdline())
                    if name in line and "pdeathsig.py" not in line:
                        return child
        return None

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        with suppress(psutil.NoSuchProcess):
            master = self.part("gunicorn")
            return master.children() if master else []
        return []

    def _ready_at_first(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"ended by itself: {self.log.read_text()[-2000:]}"
        return self.ready()

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dmstats"],
                cwd=ROOT, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
