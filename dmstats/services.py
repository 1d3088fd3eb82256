"""The objects of one process, and the order in which they start and end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
import redis

from dmstats.audit.auditor import Auditor
from dmstats.audit.background import BackgroundAudit
from dmstats.commit.group_commit import Committer
from dmstats.commit.orphan_reaper import OrphanedTransactionReaper
from dmstats.core.clock import Clock
from dmstats.core.keyspace import Keyspace
from dmstats.core.settings import Settings
from dmstats.core.stopping import StopSignal
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.client import Mongo
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions
from dmstats.ops.config_warnings import config_warnings
from dmstats.ops.delivery_log import DeliveryLog
from dmstats.ops.delivery_status import DeliveryStatus
from dmstats.ops.mail import Mailer
from dmstats.ops.metrics import Metrics
from dmstats.ops.scheduler import Schedule
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from dmstats.snapshot.reader import Reader
from dmstats.snapshot.refresher import Refresher
from dmstats.sse.hub import Hub
from dmstats.web.auth.authenticator import Authenticator

logger = logging.getLogger(__name__)

NOTICE_SECONDS = 0.2
DRAIN_SECONDS = 3.0
HANDOVER_SECONDS = 30.0


@dataclass(kw_only=True)
class Services:
    """What ``dmstats.app`` wired together; ``web.services()`` finds it from a view.

    ``auditor(repair=...)`` makes an auditor; ``worker_schedule`` and ``refresher_schedule`` make
    the job table of a web worker and of the stand-alone refresher. ``close_idle`` ends the
    connections that nobody uses.
    """

    settings: Settings
    clock: Clock
    metrics: Metrics
    delivery_log: DeliveryLog
    delivery_status: DeliveryStatus
    mongo: Mongo
    redis: redis.Redis
    keyspace: Keyspace
    ledger: Ledger
    transactions: Transactions
    committer: Committer
    orphan_reaper: OrphanedTransactionReaper
    lease: Lease
    refresher: Refresher
    publisher: Publisher
    reader: Reader
    hub: Hub
    background_audit: BackgroundAudit
    admins: AdminStore
    authenticator: Authenticator
    mailer: Mailer | None
    auditor: Callable[..., Auditor]
    worker_schedule: Callable[[], Schedule]
    refresher_schedule: Callable[[], Schedule]
    close_idle: Callable[[], None] = field(default=lambda: None, init=False)
    stopping: bool = field(default=False, init=False)
    _schedule: Schedule | None = field(default=None, init=False)
    _leaving: tuple[Callable[[], object], Callable[[], bool]] | None = field(
        default=None, init=False
    )

    def start(self, is_alive: Callable[[], bool]) -> None:
        """Begin the background work of a web worker.

        When ``is_alive`` turns false Gunicorn waits for the requests that are under way, so it is
        watched: open streams would hold the worker up until the graceful time-out is over.
        """
        for sentence in config_warnings(self.settings):
            logger.warning("setting_doubtful", extra={"advice": sentence})
        self.committer.start()
        self.hub.start()
        self._schedule = self.worker_schedule()
        self._schedule.start()
        gevent.spawn(self._watch, is_alive)

    def leave(self, end: Callable[[], object], has_to_wait: Callable[[], bool]) -> None:
        """Call ``end`` when nobody needs this worker any more; it serves meanwhile.

        If others replace it that is when they are ready, as long as it ``has_to_wait``. Else it is
        no longer ready itself, for as long as a load balancer needs to notice. For a signal
        handler, which may interrupt anything, this one included: it only takes a note.
        """
        if self._leaving is None:
            self._leaving = (end, has_to_wait)

    def _leave(self, end: Callable[[], object], has_to_wait: Callable[[], bool]) -> None:
        if has_to_wait():
            deadline = self.clock.monotonic() + HANDOVER_SECONDS
            while has_to_wait() and self.clock.monotonic() < deadline:
                gevent.sleep(NOTICE_SECONDS)
            self.stopping = True
        else:
            self.stopping = True
            gevent.sleep(self.settings.drain_seconds)
        end()

    def stop(self) -> None:
        """End in the order in which nothing is lost: streams, counting, leadership, clients."""
        self.stopping = True
        self.hub.stop()
        self.committer.stop(seconds=DRAIN_SECONDS)
        if self._schedule is not None:
            self._schedule.stop()
            self.background_audit.leave()
            self.orphan_reaper.leave()
        self.lease.release()
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connections; of a process that began no background work, all there is."""
        self.transactions.close()
        self.redis.close()
        self.mongo.close()

    def run_refresher(self) -> None:
        """Be the stand-alone refresher, until SIGTERM, SIGINT or SIGHUP."""
        stop = StopSignal()
        stop.listen()
        schedule = self.refresher_schedule()
        schedule.start()
        stop.wait()
        schedule.stop()
        self.background_audit.leave()
        self.lease.release()
        stop.ignore()

    def _watch(self, is_alive: Callable[[], bool]) -> None:
        told = False
        while is_alive():
            if self._leaving is not None and not told:
                told = True
                gevent.spawn(self._leave, *self._leaving)
            gevent.sleep(NOTICE_SECONDS)
        self.stopping = True
        self.hub.stop()
        self.close_idle()
