"""Builds the object graph; the only module that knows which object depends on which."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dmstats import __version__
from dmstats.audit.auditor import Auditor
from dmstats.audit.background import BackgroundAudit
from dmstats.audit.verifier import Verifier
from dmstats.commit.batch_writer import BatchWriter
from dmstats.commit.fair_lock import FairFileLock
from dmstats.commit.group_commit import Committer
from dmstats.commit.orphan_reaper import OrphanedTransactionReaper
from dmstats.commit.session_files import SessionRegistry, session_folder
from dmstats.core.clock import Clock, ClockWatch, SystemClock
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_client import redis_client
from dmstats.core.redis_outage import RedisOutage
from dmstats.core.settings import Settings
from dmstats.core.time_zones import zone
from dmstats.db.account_edits import AccountEdits
from dmstats.db.admins.activity_log import ActivityLog
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.identities import Identities
from dmstats.db.admins.passkeys import Passkeys
from dmstats.db.admins.passwords import Passwords
from dmstats.db.admins.second_factor import SecondFactors
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.admins.shared_links import SharedLinkStore
from dmstats.db.admins.token_store import TokenStore
from dmstats.db.alerting import AlertingStore
from dmstats.db.annotations import AnnotationStore
from dmstats.db.audit.archive import Archive
from dmstats.db.audit.repairs import RepairRecords, Repairs
from dmstats.db.audit.runs import AuditRuns
from dmstats.db.audit.snapshot_reader import SnapshotReader
from dmstats.db.client import connect
from dmstats.db.commit_probe import CommitProbe
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.dashboard.baseline import Baseline
from dmstats.db.dashboard.canaries import Canaries
from dmstats.db.dashboard.history import HistoryStore
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.db.dashboard.readings import ReadingsStore
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.delivery_store import DeliveryStore
from dmstats.db.failures import Failures
from dmstats.db.incidents import IncidentStore
from dmstats.db.installation import Installation
from dmstats.db.send_store import SendStore
from dmstats.db.states.rhythms import Rhythms
from dmstats.db.states.state_store import StateStore
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.db.transactions import Transactions, abandoned_sessions, kill_session
from dmstats.embedded.attach import stable_address
from dmstats.history.calendar import Calendar
from dmstats.history.recent import RecentHours
from dmstats.history.service import HistoryService
from dmstats.ops import jobs
from dmstats.ops.alerts import AlertSender
from dmstats.ops.annotations import Annotations, VersionNote
from dmstats.ops.canary import canary_for
from dmstats.ops.channels import known_channels
from dmstats.ops.delivery_details import DeliveryDetails
from dmstats.ops.delivery_log import DeliveryLog, SharedDeliveryLog
from dmstats.ops.delivery_status import DeliveryStatus
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.lost_dms import EchoCheck
from dmstats.ops.mail import SmtpMailer
from dmstats.ops.metrics import Metrics
from dmstats.ops.readiness import Readiness
from dmstats.ops.rule_checks import RuleChecks
from dmstats.ops.scheduler import gevent_schedule, thread_schedule
from dmstats.ops.watchdog import Watchdog
from dmstats.services import Services
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher, Send
from dmstats.snapshot.reader import Reader
from dmstats.snapshot.refresher import Refresher
from dmstats.snapshot.schedule import RefreshSchedule
from dmstats.snapshot.shared import shared_figures
from dmstats.sse.hub import Hub
from dmstats.states.background import BackgroundStates
from dmstats.states.passes import StatePass
from dmstats.web.auth.authenticator import Authenticator
from dmstats.web.auth.rate_limit import SignInRateLimit
from dmstats.web.auth.shared_access import SharedAccess
from dmstats.web.auth.threadpool import in_thread_pool

if TYPE_CHECKING:
    from dmstats.web.auth.oidc import OidcClient

RUN = "run"
REDIS_SECONDS = 1.0
HUB_SECONDS = 3.0


def wire(settings: Settings, send: Send) -> Services:
    """Build all services for ``settings``; does no IO.

    ``send(snapshot, version)`` publishes a snapshot to all workers.
    """
    clock, metrics = SystemClock(), Metrics()
    clock_watch = ClockWatch(clock)
    mongo = connect(settings, failures=Failures(metrics.database_failed))
    client = redis_client(settings.redis_url or "", seconds=REDIS_SECONDS)
    keys = Keyspace(Installation(mongo).name, clock)
    ledger = Ledger(mongo, retention_hours=settings.ledger_retention_hours)
    transactions = Transactions(mongo, metrics.commit_retried)
    host_folder = session_folder(
        settings.run_dir or settings.data_dir / RUN, f"{stable_address(settings)} {mongo.db.name}"
    )
    orphan_reaper = OrphanedTransactionReaper(
        SessionRegistry(host_folder),
        partial(abandoned_sessions, mongo),
        partial(kill_session, mongo),
        transactions.session_id,
        clock,
    )

    def on_conflict(attempt: int) -> None:
        metrics.batch_conflicted()
        orphan_reaper.on_conflict(attempt)

    batches = Batches(mongo, ledger, transactions, clock)
    writer = BatchWriter(batches, clock, on_conflict)
    committer = Committer(writer, clock, metrics, FairFileLock(host_folder, clock).hold)

    snapshots, population_counts = SnapshotStore(mongo), PopulationCounts(mongo, clock)

    def last_term() -> int:
        # Include the term that this worker has served: both databases may have lost their data.
        return max(snapshots.last_term(), reader.term)

    outage = RedisOutage()
    lease = Lease(client, keys, clock, last_term, metrics, outage=outage)
    publisher = Publisher(
        client,
        keys,
        send,
        metrics,
        cache_ttl=settings.cache_ttl,
        min_interval=settings.min_publish_interval,
        transport=settings.transport,
        outage=outage,
    )
    refresher = Refresher(
        ReadingsStore(mongo, population_counts),
        snapshots,
        publisher,
        lease,
        client,
        keys,
        clock,
        metrics,
        settings.monthly_dm_limit,
        Calendar(zone(settings.time_zone)),
        seen=lambda: reader.order,
    )
    reader = Reader(
        client,
        keys,
        snapshots,
        refresher,
        clock,
        metrics,
        interval=settings.refresh_interval,
        computes=settings.refresher == "worker",
        outage=outage,
    )
    histories = HistoryService(
        HistoryStore(mongo),
        client,
        clock,
        metrics,
        interval=settings.refresh_interval,
        key=keys.key,
    )
    admins = AdminStore(mongo, Passwords(run=in_thread_pool), clock)
    sessions = SessionStore(mongo, clock, hours=settings.session_hours)
    tokens, second_factors = (
        TokenStore(mongo, clock),
        SecondFactors(mongo, clock, settings.secret_key or ""),
    )
    shared_links = SharedLinkStore(mongo, clock)
    rate_limit = SignInRateLimit(client, keys, clock)
    authenticator = Authenticator(
        settings, admins, sessions, tokens, shared_links, second_factors, rate_limit, clock
    )
    hub = Hub(
        redis_client(settings.redis_url or "", seconds=HUB_SECONDS),
        keys,
        reader.newest,
        reader.accept,
        clock,
        metrics,
        transport=settings.transport,
        max_streams=settings.max_streams,
        ended=authenticator.ended,
        share=shared_figures,
        outage=outage,
    )
    refresh_schedule = RefreshSchedule(
        lease, refresher, snapshots, clock, interval=settings.refresh_interval
    )
    work = TransactionRunner(mongo)
    backlog = AccountBacklog(mongo, work, clock, metrics.deferred_accounts)
    archive = Archive(mongo, ledger, work, days_kept=settings.account_days_kept)

    def auditor(*, repair: bool = False, believe_ledger: bool = False) -> Auditor:
        repairs = Repairs(mongo, work, clock) if repair else None
        verifier = Verifier(SnapshotReader(mongo, work), repairs=repairs)
        runs = AuditRuns(mongo, ledger)
        return Auditor(verifier, runs, archive, clock, believe_ledger=believe_ledger)

    background_audit = BackgroundAudit(auditor(), clock, metrics.odd_documents)
    shared_delivery_log, delivery_log = (
        SharedDeliveryLog(client, keys, clock, metrics.redis_failed),
        DeliveryLog(metrics, clock),
    )
    incidents = IncidentStore(mongo)
    annotations = Annotations(AnnotationStore(mongo, clock), incidents, RepairRecords(mongo))
    deliveries = DeliveryStore(mongo)
    delivery_details = DeliveryDetails(deliveries, clock)
    book = IncidentBook(incidents, client, keys)
    alerting, channels = AlertingStore(mongo), known_channels(settings, mongo)
    sender = AlertSender(channels.fixed, book, client, keys, clock)
    recent = RecentHours(histories, Calendar(zone(settings.time_zone)), clock)
    canary = canary_for(settings, Canaries(mongo), clock, metrics)
    watchdog = Watchdog(
        shared_delivery_log, Baseline(mongo), snapshots, book, sender, clock,
        metrics, lambda: canary.lost_in_a_row if canary else 0, deliveries, channels,
        RuleChecks(alerting, snapshots, recent.of),
    )  # fmt: skip
    refresh_jobs = jobs.refresher_jobs(
        lease, refresh_schedule, population_counts, ledger, archive, background_audit, clock_watch
    )
    state_pass = StatePass(
        StateStore(mongo, work),
        Rhythms(mongo),
        clock,
        monthly_limit=settings.monthly_dm_limit,
        hourly_limit=settings.hourly_dm_limit,
    )
    refresh_jobs += [
        jobs.watchdog_job(watchdog),
        jobs.account_backlog_job(backlog),
        jobs.account_states_job(BackgroundStates(state_pass, clock, metrics.account_states)),
    ]
    sends = SendStore(mongo, work)
    refresh_jobs.append(jobs.echo_check_job(EchoCheck(sends, clock, clock_watch)))
    if settings.account_edits == "operator":
        refresh_jobs.append(jobs.account_edits_job(AccountEdits(mongo, clock)))
    refresh_jobs.append(jobs.version_note_job(VersionNote(annotations.store, __version__)))
    if canary:
        refresh_jobs.append(jobs.canary_job(canary))
    worker_jobs = [
        jobs.orphan_reaper_job(orphan_reaper),
        jobs.delivery_log_job(shared_delivery_log, delivery_log),
        jobs.delivery_details_job(delivery_details),
    ]
    if settings.refresher == "worker":
        worker_jobs += refresh_jobs

    def leading() -> bool:
        return lease.held

    return Services(
        settings=settings,
        clock=clock,
        metrics=metrics,
        delivery_log=delivery_log,
        delivery_status=DeliveryStatus(shared_delivery_log, delivery_log, book, clock),
        delivery_details=delivery_details,
        deliveries=deliveries,
        sends=sends,
        incidents=incidents,
        annotations=annotations,
        channels=channels,
        alerting=alerting,
        mongo=mongo,
        redis=client,
        keyspace=keys,
        ledger=ledger,
        transactions=transactions,
        committer=committer,
        orphan_reaper=orphan_reaper,
        lease=lease,
        refresher=refresher,
        publisher=publisher,
        reader=reader,
        histories=histories,
        hub=hub,
        background_audit=background_audit,
        admins=admins,
        tokens=tokens,
        shared_links=shared_links,
        shared_access=SharedAccess(shared_links, clock),
        second_factors=second_factors,
        passkeys=Passkeys(mongo, clock),
        activity_log=ActivityLog(mongo, clock, days=settings.activity_log_days),
        auditor=auditor,
        identities=Identities(mongo),
        single_sign_on=_single_sign_on(settings, clock),
        authenticator=authenticator,
        mailer=SmtpMailer(settings.smtp_url, settings.mail_from or "")
        if settings.smtp_url
        else None,
        readiness=Readiness(CommitProbe(mongo).try_commit, clock),
        worker_schedule=partial(gevent_schedule, worker_jobs, clock, metrics, leading, clock_watch),
        refresher_schedule=partial(
            thread_schedule, refresh_jobs, clock, metrics, leading, clock_watch
        ),
    )


def _single_sign_on(settings: Settings, clock: Clock) -> OidcClient | None:
    if settings.oidc_issuer is None:
        return None
    # Importing it takes 0.3 s, which a worker spends before it serves, and only where it is used.
    from dmstats.web.auth.oidc import OidcClient  # noqa: PLC0415

    return OidcClient(settings, clock)
