"""The platform that writes beside the service, and the audits of what it does."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from pymongo.database import Database
from pymongo.errors import ConnectionFailure

from tests.servers import wait_until
from tests.torture.platform import COUNTERS, Platform
from tests.torture.report import PlatformFigures
from tests.torture.service import ROOT, Service

PAUSE_SECONDS = 15.0
BACKLOG_SECONDS = 60.0
NO_DRIFT, DRIFT = 0, 1


def run_audit(service: Service, *options: str) -> tuple[int, dict[str, Any]]:
    """The exit status of `flask audit`, and what it printed; nothing if it could not run."""
    command = [sys.executable, "-m", "flask", "--app", "dmstats.app", "audit", "--json", *options]
    done = subprocess.run(
        command, env=service.environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode or DRIFT, {}


class Audits(threading.Thread):
    """Audits again and again until :meth:`stop`. One that a kill ended does not count."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._over = threading.Event()
        self.ended = 0
        self.drifting: list[dict[str, Any]] = []

    def run(self) -> None:
        """Audit, pause, and so on."""
        while not self._over.wait(PAUSE_SECONDS):
            _, result = run_audit(self._service)
            if result:
                self.ended += 1
            if result.get("drift"):
                self.drifting.append(result)

    def stop(self) -> None:
        """Return when the last one has ended."""
        self._over.set()
        self.join()


class SecondWriter:
    """The platform that writes to ``accounts``, and the audits of what it does; with ``rate`` 0
    there is none."""

    def __init__(
        self, service: Service, accounts: Sequence[str], *, seed: int, rate: float
    ) -> None:
        self._service = service
        self._audits = Audits(service)
        self.platform = None
        if rate:

            def uri() -> str:
                """Raises :class:`ConnectionFailure` while a killed launcher starts again."""
                found = service.settings().get("MONGODB_URI")
                if found is None:
                    raise ConnectionFailure
                return found

            self.platform = Platform(uri, accounts, seed=seed, rate=rate)

    def start(self) -> None:
        """Begin to write and to audit."""
        if self.platform:
            self.platform.start()
            self._audits.start()

    def stop(self) -> None:
        """End both; the database must be there."""
        if self.platform:
            self._audits.stop()
            self.platform.stop()

    def await_backlog(self, db: Database[dict[str, Any]]) -> int:
        """Wait until the increments that waited are in their accounts; how many still wait."""
        backlog = db["dmstats_account_backlog"]
        # All accounts can be changed now: the next try must not be a minute away.
        backlog.update_many({}, {"$unset": {"retryAt": ""}})
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not backlog.count_documents({}), seconds=BACKLOG_SECONDS)
        return backlog.count_documents({})

    def figures(self, db: Database[dict[str, Any]], waiting: int) -> PlatformFigures | None:
        """Audit twice and repair twice: what is left to explain, and which counters moved."""
        if self.platform is None:
            return None
        _, first = run_audit(self._service)
        _, second = run_audit(self._service)
        before = _counters(db)
        repairs = [run_audit(self._service, "--repair")[1] for _ in range(2)]
        drifting = [each for each in (first, second, *repairs) if each.get("drift", 1)]
        return PlatformFigures(
            writes=dict(self.platform.writes),
            uncertain=len(self.platform.uncertain),
            waiting=waiting,
            audits=self._audits.ended,
            drifting=len(self._audits.drifting) + len(drifting),
            explained=first.get("accountsChangedByPlatform", 0),
            unexplained=second.get("accountsChangedByPlatform", -1),
            unreadable=run_audit(self._service)[1].get("documentsUnreadable", -1),
            untouched=_counters(db) == before,
        )


def _counters(db: Database[dict[str, Any]]) -> list[tuple[Any, ...]]:
    fields = ("instagramId", *COUNTERS)
    found = db["instagram_accounts"].find().sort("instagramId", 1)
    return [tuple(repr(each.get(field)) for field in fields) for each in found]
