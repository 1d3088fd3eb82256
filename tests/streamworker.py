"""A worker with the whole application and a short heartbeat, for tests of the stream."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from dmstats.db.client import Mongo
from tests.servers import Server, wait_until
from tests.sse import Stream

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "token-of-the-test"
CRON = "cron-secret-of-the-test"
HEARTBEAT = 0.5


class Worker(Server):
    """One gunicorn worker with the whole application; nothing refreshes but the test."""

    def __init__(self, folder: Path, mongo: Mongo, redis_url: str, **settings: str) -> None:
        super().__init__(folder)
        host, port = mongo.client.address or ("", 0)
        self.environ = {
            **os.environ,
            "MONGODB_URI": f"mongodb://{host}:{port}/?retryWrites=false",
            "MONGODB_DB": mongo.db.name,
            "REDIS_URL": redis_url,
            "DMSTATS_DATA_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "WEB_CONCURRENCY": "1",
            "META_APP_SECRET": "app-secret-of-the-test",
            "META_VERIFY_TOKEN": "verify-token-of-the-test",
            "SECRET_KEY": "secret-key-of-the-test",
            "ADMIN_API_TOKEN": TOKEN,
            "CRON_SECRET": CRON,
            "STATS_REFRESHER": "off",
            "HEARTBEAT_OF_THE_TEST": str(HEARTBEAT),
            **settings,
        }

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "tests.streamapp:app"],
                cwd=ROOT, env=self.environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_until(self.ready)

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/readyz")[0] == 200
        return False

    def get(self, path: str, secret: str = TOKEN) -> tuple[int, Any, dict[str, str]]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {secret}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    def refresh(self) -> str:
        """Refresh as cron does; the version."""
        status, body, _ = self.get("/api/cron/refresh-admin-stats", CRON)
        assert status == 200
        return str(json.loads(body)["version"])

    def stream(self, query: str = "", *, http: str = "1.1") -> Stream:
        return Stream(self.port, TOKEN, query=query, http=http)
