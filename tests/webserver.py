"""Gunicorn with dmstats' own settings, on databases that a test may kill, pause and make fail."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psutil
import urllib3
from pymongo import MongoClient

import migrations
from dmstats.commit.session_files import session_folder
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.settings import Settings
from dmstats.core.signature import sign
from dmstats.db.client import Mongo
from tests.servers import Redis, bare_environ, free_port, wait_until

ROOT = Path(__file__).resolve().parents[1]
SECRET = "app-secret-of-the-tests"
TOKEN = "api-token-of-the-tests"
STOP_SECONDS = 20.0
ACCOUNT = "17841400000000001"


class Database(Protocol):
    """What the workers connect to."""

    @property
    def uri(self) -> str: ...


class Answer(msgspec.Struct):
    """A POST's answer: its status (0: no answer came), its body, and the seconds it took."""

    status: int
    body: dict[str, Any]
    seconds: float


class WebServer:
    """``workers`` real workers; ``options`` are further arguments of gunicorn, and ``settings``
    further ones of dmstats."""

    def __init__(
        self,
        folder: Path,
        database: Database,
        redis: Redis,
        *,
        workers: int = 1,
        options: Sequence[str] = (),
        settings: Mapping[str, str] = {},
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = f"web_{uuid.uuid4().hex[:12]}"
        # Not the application name of the workers: a test may make the commands of theirs fail.
        client: MongoClient[dict[str, Any]] = MongoClient(database.uri, appname="tests")
        self.mongo = Mongo(client, self.name, "primary")
        self._log = folder / "gunicorn.log"
        self._options = options
        self._workers = workers
        self.environ = {
            **bare_environ(),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(workers),
            "MONGODB_URI": database.uri,
            "MONGODB_DB": self.name,
            "REDIS_URL": redis.url,
            "META_APP_SECRET": SECRET,
            "META_VERIFY_TOKEN": "verify-token-of-the-tests",
            "CRON_SECRET": "cron-secret-of-the-tests",
            "SECRET_KEY": "secret-key-of-the-tests",
            "ADMIN_API_TOKEN": TOKEN,
            "DMSTATS_DATA_DIR": str(folder / "var"),
            **settings,
        }
        self.run_dir = Path(self.environ.get("DMSTATS_RUN_DIR") or folder / "var" / "run")
        self.account = ACCOUNT
        self._prefix = ""
        self._before = (0, 0, 0)
        self._process: subprocess.Popen[bytes] | None = None
        self._http = urllib3.PoolManager(maxsize=32, retries=False)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        migrations.apply(self.mongo, Settings())
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *self._options,
                 "wsgi:app"],
                cwd=ROOT, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_until(self._answers)
        self.wait_complete()

    def stop(self) -> None:
        if self._process:
            with contextlib.suppress(psutil.NoSuchProcess):
                for worker in self.workers():
                    worker.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            finally:
                self._process.kill()
            self._process = None
        self._http.clear()
        self.mongo.close()

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def workers(self) -> list[psutil.Process]:
        assert self._process
        return psutil.Process(self._process.pid).children()

    def wait_complete(self) -> None:
        """Wait until every worker has registered its session, which its first job does."""
        folder = session_folder(self.run_dir, f"{self.environ['MONGODB_URI']} {self.name}")
        wait_until(lambda: len(list(folder.glob("*.session"))) == self._workers)

    def terminate(self) -> None:
        """SIGTERM to the master."""
        assert self._process
        self._process.terminate()

    def wait(self, seconds: float) -> int:
        """The master's exit status, within ``seconds``."""
        assert self._process
        return self._process.wait(seconds)

    def begin_anew(self) -> None:
        """Count from zero, for a new account: several tests may share the server."""
        self.account = f"1784{uuid.uuid4().int % 10**13:013d}"
        self._prefix = f"{self.account}-"
        self._before = self._counted()

    def post(self, *mids: str, account: str = "", sent: bool = True) -> Answer:
        """Deliver one DM per mid, of this server's present account unless another is given."""
        named = [self._prefix + mid for mid in mids]
        return self.send(body(*named, account=account or self.account, sent=sent))

    def post_until_counted(self, *mids: str) -> Answer:
        """Deliver the same again until it is acknowledged."""
        answers: list[Answer] = []

        def acknowledged() -> bool:
            answers.append(self.post(*mids))
            return answers[-1].status == 200

        wait_until(acknowledged)
        return answers[-1]

    def send(self, raw: bytes, *, signature: str | None = None) -> Answer:
        """POST ``raw``, signed unless ``signature`` is given; on a connection of its own."""
        headers = {
            "X-Hub-Signature-256": sign(raw, SECRET) if signature is None else signature,
            "Connection": "close",
        }
        started = time.monotonic()
        status, told = 0, {}
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = self._http.request(
                "POST", self.url + WEBHOOK_PATH, body=raw, headers=headers, timeout=10.0
            )
            status, told = answer.status, json.loads(answer.data)
        return Answer(status, told, time.monotonic() - started)

    def stats(self, seen: str = "") -> dict[str, Any] | None:
        """The snapshot as an admin's script gets it that has ``seen`` a version; None without a
        new one."""
        headers = {"Authorization": f"Bearer {TOKEN}", "Connection": "close"}
        if seen:
            headers["If-None-Match"] = f'W/"{seen}"'
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = self._http.request(
                "GET", f"{self.url}/api/admin/stats", headers=headers, timeout=10.0
            )
            if answer.status == 200:
                told: dict[str, Any] = json.loads(answer.data)
                return told
        return None

    def counted(self) -> tuple[int, int, int]:
        """DMs sent since :meth:`begin_anew` according to the ledger, the accounts and the global
        document."""
        rows, accounts, total = self._counted()
        before = self._before
        return rows - before[0], accounts - before[1], total - before[2]

    def _counted(self) -> tuple[int, int, int]:
        database = self.mongo.db
        names = database.list_collection_names(
            filter={"name": {"$regex": "^dmstats_ledger_(other|[0-9])"}}
        )
        rows = [row for name in names for row in database[name].find({"rejected": {"$ne": True}})]
        used = [account.get("dmUsed", 0) for account in database["instagram_accounts"].find()]
        total = database["stats_cache"].find_one({"_id": "global"}) or {}
        numbers = [count for count in used if isinstance(count, int)]
        return len(rows), sum(numbers), total.get("dmsSent", 0)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self.log
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = self._http.request("GET", f"{self.url}/readyz", timeout=2.0)
            return bool(answer.status == 200)
        return False


def body(*mids: str, account: str = ACCOUNT, sent: bool = True) -> bytes:
    """A delivery of one DM per mid, now."""
    now_ms = time.time_ns() // 1_000_000
    items = [
        {
            "sender": {"id": account if sent else "7"},
            "recipient": {"id": "7" if sent else account},
            "timestamp": now_ms,
            "message": {"mid": mid, "text": "hello"} | ({"is_echo": True} if sent else {}),
        }
        for mid in mids
    ]
    entry = {"id": account, "time": now_ms, "messaging": items}
    return json.dumps({"object": "instagram", "entry": [entry]}).encode()


@contextlib.contextmanager
def serving(web: WebServer) -> Iterator[WebServer]:
    """Start ``web`` and always stop it at the end."""
    try:
        web.start()
        yield web
    finally:
        web.stop()
