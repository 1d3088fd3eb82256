"""`dmstats simulate` against a running service: exact, told apart from others, taken back."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dmstats.core.clock import SystemClock, rfc3339
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.exit_codes import INTERRUPTED
from dmstats.core.settings import Settings
from dmstats.core.signature import sign
from dmstats.db.client import connect
from dmstats.db.collection_names import ACCOUNT_BACKLOG
from dmstats.embedded.attach import attach
from tests.launched import Started
from tests.live.conftest import TOKEN, Dmstats
from tests.servers import wait_until
from tests.webserver import body

pytestmark = pytest.mark.live

COMMAND = (sys.executable, "-m", "dmstats")
SECONDS = 90


def figures(service: Started) -> dict[str, Any]:
    """What is counted now, of the DMs and the accounts."""
    secret = (Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets" / "CRON_SECRET").read_text()
    began = rfc3339(SystemClock().now_ms())
    shown: dict[str, Any] = {}

    def refreshed() -> bool:
        # A call while another refresh runs gets the figures of that one, begun before; and the
        # other worker may show older ones for a moment.
        get(service, "/api/cron/refresh-admin-stats", secret.strip())
        shown.update(get(service, "/api/admin/stats"))
        return str(shown["computedAt"]) >= began

    wait_until(refreshed)
    names = ("totalDMsSent", "totalDMsReceived", "totalAccounts", "events", "duplicates",
             "lastEventAt")  # fmt: skip
    counted = {name: shown[name] for name in names}
    # A kind that was counted and purged is listed with 0; one never counted is not listed.
    counted["events"] = {kind: number for kind, number in shown["events"].items() if number}
    return counted


def await_accounts(service: Started) -> None:
    """Wait until no increment of an account is left over: on a busy machine it may be."""
    with closing(connect(Settings.from_env(attach(service.environ)))) as mongo:
        wait_until(lambda: mongo.db[ACCOUNT_BACKLOG].find_one() is None)


def test_it_works(service: Started, dmstats: Dmstats) -> None:
    """Exact, said where to, and taken back to the last figure."""
    assert dmstats(service.environ, "simulate", "--purge").returncode == 0
    deliver(service, "before-the-simulation")
    await_accounts(service)
    before = figures(service)
    some = ("--rate", "100", "--seconds", "2", "--accounts", "7")
    done = dmstats(service.environ, "simulate", *some)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Sending to http://127.0.0.1:{service.environ['PORT']}, database dmstats" in done.stderr
    assert "These events stay counted until `dmstats simulate --purge`" in done.stderr
    # The dashboard shows them without waiting for the next scheduled refresh.
    wait_until(lambda: get(service, "/api/admin/stats")["totalAccounts"] > before["totalAccounts"])
    await_accounts(service)
    during = figures(service)
    counted = during["totalDMsSent"] + during["totalDMsReceived"]
    assert counted - before["totalDMsSent"] - before["totalDMsReceived"] >= 200
    assert during["totalAccounts"] == before["totalAccounts"] + 7
    purged = dmstats(service.environ, "simulate", "--purge")
    assert purged.returncode == 0, purged.stderr
    assert "7 accounts" in purged.stdout
    assert figures(service) == before
    audited = dmstats(service.environ, "audit", "--json")
    assert (audited.returncode, json.loads(audited.stdout)["drift"]) == (0, 0)
    assert "Nothing to remove" in dmstats(service.environ, "simulate", "--purge").stdout


def test_the_same_seed_twice_is_counted_twice(service: Started, dmstats: Dmstats) -> None:
    for _ in range(2):
        done = dmstats(service.environ, "simulate", "--rate", "50", "--seconds", "1", "--seed", "5")
        assert done.returncode == 0, done.stdout + done.stderr


def test_other_traffic_is_no_error(service: Started, dmstats: Dmstats) -> None:
    over = threading.Event()

    def others() -> None:
        number = 0
        while not over.wait(0.1):
            deliver(service, f"other-{time.time_ns()}-{number}")
            number += 1

    sender = threading.Thread(target=others)
    sender.start()
    try:
        done = dmstats(service.environ, "simulate", "--rate", "50", "--seconds", "2")
    finally:
        over.set()
        sender.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "other DMs arrived" in done.stdout


def test_ctrl_c_says_what_was_sent(service: Started) -> None:
    before = figures(service)["totalDMsSent"]
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--rate", "50", "--seconds", "60"],
        env=service.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: figures(service)["totalDMsSent"] > before, every=0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == INTERRUPTED
    assert "sent to the service" in out
    assert "Interrupted" in err
    assert "simulate --purge" in err
    assert "Traceback" not in err


def test_another_address_needs_confirmation(service: Started, dmstats: Dmstats) -> None:
    done = dmstats(service.environ, "simulate", "--url", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "--yes" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_the_log_does_not_clutter_a_terminal(service: Started) -> None:
    primary, terminal = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "refresh-stats"], env=service.environ, stdout=subprocess.PIPE, stderr=terminal,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(primary, 4096):
            seen += part
    os.close(primary)
    assert done.returncode == 0
    assert b"totalDMsSent" in done.stdout
    assert seen == b""


def test_a_lost_password_is_replaced(service: Started, dmstats: Dmstats) -> None:
    def asked(command: str, email: str, password: str) -> subprocess.CompletedProcess[str]:
        return dmstats(service.environ, command, email, stdin=password + "\n")

    assert asked("create-admin", "lost@example.com", "the first password").returncode == 0
    assert asked("reset-password", "LOST@example.com", "the second password").returncode == 0
    unknown = asked("reset-password", "unknown@example.com", "the second password")
    assert unknown.returncode == 1
    assert unknown.stderr == "Error: There is no person with the email unknown@example.com.\n"
    assert asked("reset-password", "lost@example.com", "short").returncode == 1
    url = f"http://127.0.0.1:{service.environ['PORT']}/login"
    with urllib3.PoolManager(retries=False) as http:
        for password, status in (("the first password", 401), ("the second password", 200)):
            sent = {"email": "lost@example.com", "password": password}
            told: list[int] = []

            def answered(sent: dict[str, str] = sent, told: list[int] = told) -> bool:
                told.append(http.request("POST", url, json=sent).status)
                return told[-1] != 503  # a busy machine

            wait_until(answered)
            assert told[-1] == status


def get(service: Started, path: str, token: str = TOKEN) -> Any:
    url = f"http://127.0.0.1:{service.environ['PORT']}{path}"
    with urllib3.PoolManager(retries=False) as http:
        answer = http.request("GET", url, headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 200, (path, answer.status, answer.data[:300])
    return answer.json()


def deliver(service: Started, mid: str) -> None:
    """One DM of a real account's."""
    folder = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    raw = body(mid)
    headers = {"X-Hub-Signature-256": sign(raw, (folder / "META_APP_SECRET").read_text().strip())}
    url = f"http://127.0.0.1:{service.environ['PORT']}{WEBHOOK_PATH}"
    with urllib3.PoolManager(retries=False) as http:
        # A busy machine may answer 503, after which Meta sends again.
        wait_until(lambda: http.request("POST", url, body=raw, headers=headers).status == 200)
