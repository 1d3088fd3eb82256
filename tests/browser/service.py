"""The whole service as a user starts it, for a browser to look at; its parts can be stopped."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers import free_port, wait_until

PASSWORD = re.compile(r"created the first admin, (\S+), with the password (\S+)")
ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0


class Service:
    """``python -m dmstats`` with a data folder of its own.

    ``mongodb_uri`` and ``redis_url`` come from outside, so that a test can take them away.
    """

    def __init__(self, folder: Path, *, mongodb_uri: str, redis_url: str, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.email = ""
        self.password = ""
        self.session: list[Any] = []
        self._settings = {
            "MONGODB_URI": mongodb_uri,
            "REDIS_URL": redis_url,
            "META_APP_SECRET": "browser-app-secret",
            "WEB_CONCURRENCY": "1",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dmstats"],
                cwd=ROOT, env=self._environ(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_until(lambda: self._answers() and "running at" in self.log, seconds=READY_SECONDS)
        found = PASSWORD.search(self.log)
        if found:
            self.email, self.password = found.groups()
        assert self.password, f"no first admin in:\n{self.log}"

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            **self._settings,
            "PORT": str(self.port),
            "DMSTATS_DATA_DIR": str(self.folder / "data"),
            "PYTHONUNBUFFERED": "1",
        }

    def _answers(self) -> bool:
        process = self._process
        assert process, "not started"
        assert process.poll() is None, f"ended by itself:\n{self.log}"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def send(
        self,
        sent: int,
        received: int = 0,
        *,
        account: str = "17841400000000001",
        times: Sequence[int] = (),
        tries: int = 3,
    ) -> None:
        """Deliver that many new DMs in one signed webhook: of now, or of ``times`` (ms).

        It is delivered again as Meta does, ``tries`` times in all, where a busy machine took too
        long.
        """
        now = int(time.time() * 1000)
        mids = [f"m_{time.monotonic_ns()}_{i}" for i in range(sent + received)]
        events = []
        for i, mid in enumerate(mids):
            # Spread evenly among the received ones.
            echo = (i + 1) * sent // len(mids) > i * sent // len(mids)
            events.append(
                {
                    "sender": {"id": account if echo else "99"},
                    "recipient": {"id": "99" if echo else account},
                    "timestamp": times[i] if times else now,
                    "message": {"mid": mid, "text": "hello", **({"is_echo": True} if echo else {})},
                }
            )
        entry = {"id": account, "time": now, "messaging": events}
        body = json.dumps({"object": "instagram", "entry": [entry]}).encode()
        secret = self._settings["META_APP_SECRET"].encode()
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"{self.url}/api/webhooks/instagram",
            data=body,
            headers={
                "Content-Type": "application/json",
                "X-Hub-Signature-256": f"sha256={signature}",
            },
        )
        counts = self._delivered(request, tries)
        if counts["duplicates"]:  # an attempt that was not answered in time had counted them
            assert counts["duplicates"] == sent + received, counts
        else:
            assert (counts["sent"], counts["received"]) == (sent, received), counts

    def _delivered(self, request: urllib.request.Request, tries: int) -> dict[str, int]:
        for left in reversed(range(tries)):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    counts: dict[str, int] = json.load(answer)
                    return counts
            except urllib.error.HTTPError as error:
                if error.code != 503 or not left:
                    raise
        raise AssertionError

    def audit(self) -> None:
        """Check the ledger now, as the schedule does; it must hold."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "dmstats.app", "audit"],
            cwd=ROOT, env=self._environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def publish(self) -> dict[str, object]:
        """Refresh until that is published (the schedule may just have done so) and served."""
        while not (result := self.refresh())["published"]:
            time.sleep(0.2)
        wait_until(lambda: _order(self._served()) >= _order(result), seconds=READY_SECONDS)
        return result

    def refresh(self) -> dict[str, object]:
        """Refresh now, as the cron job does."""
        return self._get("/api/cron/refresh-admin-stats", "CRON_SECRET")

    def _served(self) -> dict[str, object]:
        """The snapshot that a page would get now."""
        return self._get("/api/admin/stats", "ADMIN_API_TOKEN")

    def _get(self, path: str, secret: str) -> dict[str, object]:
        """The JSON at ``path``, with one of the generated secrets."""
        bearer = (self.folder / "data" / "secrets" / secret).read_text().strip()
        request = urllib.request.Request(
            f"{self.url}{path}", headers={"Authorization": f"Bearer {bearer}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            result: dict[str, object] = json.load(answer)
        return result


def _order(snapshot: dict[str, object]) -> list[int]:
    """The term and the number of the refresh, by which versions are ordered."""
    return [int(part) for part in str(snapshot["version"]).split("-")]
