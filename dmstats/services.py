"""The long-lived objects of one process, and the order in which they start and stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
from dmstats.db.admins.activity_log import ActivityLog
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.identities import Identities
from dmstats.db.admins.passkeys import Passkeys
from dmstats.db.admins.second_factor import SecondFactors
from dmstats.db.admins.shared_links import SharedLinkStore
from dmstats.db.admins.token_store import TokenStore
from dmstats.db.alerting import AlertingStore
from dmstats.db.client import Mongo
from dmstats.db.counting.ledger import Ledger
from dmstats.db.delivery_store import DeliveryStore
from dmstats.db.incidents import IncidentStore
from dmstats.db.send_store import SendStore
from dmstats.db.transactions import Transactions
from dmstats.history.service import HistoryService
from dmstats.ops.annotations import Annotations
from dmstats.ops.channels import ChannelList
from dmstats.ops.config_warnings import config_warnings
from dmstats.ops.delivery_details import DeliveryDetails
from dmstats.ops.delivery_log import DeliveryLog
from dmstats.ops.delivery_status import DeliveryStatus
from dmstats.ops.mail import Mailer
from dmstats.ops.metrics import Metrics
from dmstats.ops.readiness import Readiness
from dmstats.ops.scheduler import Schedule
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from dmstats.snapshot.reader import Reader
from dmstats.snapshot.refresher import Refresher
from dmstats.sse.hub import Hub
from dmstats.web.auth.authenticator import Authenticator
from dmstats.web.auth.shared_access import SharedAccess

if TYPE_CHECKING:
    from dmstats.web.auth.oidc import OidcClient

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
DRAIN_SECONDS = 3.0
SUCCESSOR_SECONDS = 30.0


@dataclass(kw_only=True)
class Services:
    """The objects that ``dmstats.wiring`` built; views get them from ``web.services()``.

    ``auditor(repair=...)`` creates an auditor. ``worker_schedule`` and ``refresher_schedule``
    create the job table of a web worker and of the stand-alone refresher. ``close_idle`` closes
    idle client connections.
    """

    settings: Settings
    clock: Clock
    metrics: Metrics
    delivery_log: DeliveryLog
    delivery_status: DeliveryStatus
    delivery_details: DeliveryDetails
    deliveries: DeliveryStore
    sends: SendStore
    incidents: IncidentStore
    annotations: Annotations
    channels: ChannelList
    alerting: AlertingStore
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
    histories: HistoryService
    hub: Hub
    background_audit: BackgroundAudit
    admins: AdminStore
    activity_log: ActivityLog
    tokens: TokenStore
    shared_links: SharedLinkStore
    shared_access: SharedAccess
    second_factors: SecondFactors
    passkeys: Passkeys
    identities: Identities
    single_sign_on: OidcClient | None
    authenticator: Authenticator
    readiness: Readiness
    mailer: Mailer | None
    auditor: Callable[..., Auditor]
    worker_schedule: Callable[[], Schedule]
    refresher_schedule: Callable[[], Schedule]
    close_idle: Callable[[], None] = field(default=lambda: None, init=False)
    stopping: bool = field(default=False, init=False)
    _schedule: Schedule | None = field(default=None, init=False)
    _draining: tuple[Callable[[], object], Callable[[], bool]] | None = field(
        default=None, init=False
    )

    def start(self, is_alive: Callable[[], bool]) -> None:
        """Start the background work of a web worker.

        ``is_alive`` is polled. When it turns false, Gunicorn waits for open requests, so streams
        are closed then; otherwise they would keep the worker until the graceful time-out.
        """
        for sentence in config_warnings(self.settings):
            logger.warning("setting_warning", extra={"advice": sentence})
        self.committer.start()
        self.hub.start()
        self._schedule = self.worker_schedule()
        self._schedule.start()
        gevent.spawn(self._watch, is_alive)

    def drain(self, end: Callable[[], object], must_wait: Callable[[], bool]) -> None:
        """Call ``end`` when this worker is no longer needed, and serve requests until then.

        During a reload, that is once the successors are ready (``must_wait`` returns False).
        Otherwise ``/readyz`` returns 503 for the configured drain time first. This is called from
        a signal handler, which may interrupt anything, so it only records the request.
        """
        if self._draining is None:
            self._draining = (end, must_wait)

    def _drain(self, end: Callable[[], object], must_wait: Callable[[], bool]) -> None:
        if must_wait():
            deadline = self.clock.monotonic() + SUCCESSOR_SECONDS
            while must_wait() and self.clock.monotonic() < deadline:
                gevent.sleep(POLL_SECONDS)
            self.stopping = True
        else:
            self.stopping = True
            gevent.sleep(self.settings.drain_seconds)
        end()

    def stop(self) -> None:
        """Stop in the order that loses no events: streams, counting, leadership, clients."""
        self.stopping = True
        self.hub.stop()
        self.committer.stop(seconds=DRAIN_SECONDS)
        if self._schedule is not None:
            self._schedule.stop()
            self.background_audit.leave()
            self.orphan_reaper.unregister()
        self.lease.release()
        self.disconnect()

    def disconnect(self) -> None:
        """Close the connections; sufficient for a process without background work."""
        self.transactions.close()
        self.redis.close()
        self.mongo.close()

    def run_refresher(self) -> None:
        """Run as the stand-alone refresher until SIGTERM, SIGINT or SIGHUP."""
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
        spawned = False
        while is_alive():
            if self._draining is not None and not spawned:
                spawned = True
                gevent.spawn(self._drain, *self._draining)
            gevent.sleep(POLL_SECONDS)
        self.stopping = True
        self.hub.stop()
        self.close_idle()
