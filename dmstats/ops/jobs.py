"""The scheduled jobs and their intervals."""

from __future__ import annotations

from dmstats.audit.background import BackgroundAudit
from dmstats.commit.orphan_reaper import OrphanedTransactionReaper
from dmstats.core.clock import DAY_MS, ClockWatch, to_datetime
from dmstats.db.account_edits import AccountEdits
from dmstats.db.audit.archive import Archive
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.counting.ledger import Ledger
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.ops.annotations import VersionNote
from dmstats.ops.canary import CanaryProbe
from dmstats.ops.delivery_details import DeliveryDetails
from dmstats.ops.delivery_log import DeliveryLog, SharedDeliveryLog
from dmstats.ops.lost_dms import EchoCheck
from dmstats.ops.scheduler import Job
from dmstats.ops.watchdog import Watchdog
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.schedule import RefreshSchedule
from dmstats.states.background import BackgroundStates

LEASE_SECONDS = 5.0
ORPHANS_SECONDS = 1.0
BACKLOG_SECONDS = 2.0
ECHOES_SECONDS = 30.0
ACCOUNT_EDITS_SECONDS = 30.0
REFRESH_CHECK_SECONDS = 1.0
POPULATION_COUNTS_SECONDS = 10.0
PARTITIONS_SECONDS = 3600.0
AUDIT_SECONDS = 5.0
AUDIT_LEADER_DELAY_SECONDS = 60.0
"""A new leader often takes over after a crash, when retries are still arriving."""
ACCOUNT_STATES_SECONDS = 1.0
DELIVERY_LOG_SECONDS = 5.0
WATCHDOG_SECONDS = 15.0
CANARY_SECONDS = 60.0
VERSION_NOTE_SECONDS = 60.0


def orphan_reaper_job(orphan_reaper: OrphanedTransactionReaper) -> Job:
    """Aborts the transactions of this host's dead workers; runs in every web worker."""
    return Job(name="orphans", every_seconds=ORPHANS_SECONDS, run=orphan_reaper.tick)


def account_backlog_job(backlog: AccountBacklog) -> Job:
    """Applies deferred increments to accounts that could not be updated immediately."""
    return Job(
        name="account_backlog", every_seconds=BACKLOG_SECONDS, run=backlog.drain, leader_only=True
    )


def account_edits_job(edits: AccountEdits) -> Job:
    """Writes operators' values of accounts back where the platform has written others."""
    return Job(
        name="account_edits",
        every_seconds=ACCOUNT_EDITS_SECONDS,
        run=edits.write_back,
        leader_only=True,
    )


def account_states_job(states: BackgroundStates) -> Job:
    """Computes the accounts' states."""
    return Job(
        name="account_states",
        every_seconds=ACCOUNT_STATES_SECONDS,
        run=states.tick,
        leader_only=True,
    )


def echo_check_job(check: EchoCheck) -> Job:
    """Looks for the echoes of DMs that the platform reported as sent."""
    return Job(
        name="echoes",
        every_seconds=ECHOES_SECONDS,
        run=check.tick,
        leader_only=True,
        stop=check.stop,
    )


def delivery_log_job(shared_delivery_log: SharedDeliveryLog, deliveries: DeliveryLog) -> Job:
    """Shares this worker's delivery record with the leader's watchdog."""
    return Job(
        name="delivery_log",
        every_seconds=DELIVERY_LOG_SECONDS,
        run=lambda: shared_delivery_log.post(deliveries.record),
    )


def delivery_details_job(details: DeliveryDetails) -> Job:
    """Stores the deliveries that one may want to look into."""
    return Job(
        name="delivery_details",
        every_seconds=DELIVERY_LOG_SECONDS,
        run=details.write,
    )


def watchdog_job(watchdog: Watchdog) -> Job:
    """Checks for incidents, and sends their alerts."""
    return Job(
        name="watchdog",
        every_seconds=WATCHDOG_SECONDS,
        run=watchdog.tick,
        leader_only=True,
        stop=watchdog.stop,
    )


def version_note_job(note: VersionNote) -> Job:
    """Notes on the chart that another version of dmstats runs."""
    return Job(
        name="version_note", every_seconds=VERSION_NOTE_SECONDS, run=note.tick, leader_only=True
    )


def canary_job(canary: CanaryProbe) -> Job:
    """Sends the canary."""
    return Job(
        name="canary",
        every_seconds=CANARY_SECONDS,
        run=canary.run,
        leader_only=True,
        stop=canary.stop,
    )


def refresher_jobs(
    lease: Lease,
    refresh_schedule: RefreshSchedule,
    population_counts: PopulationCounts,
    ledger: Ledger,
    archive: Archive,
    background_audit: BackgroundAudit,
    clock_watch: ClockWatch,
) -> list[Job]:
    """The jobs of every process that may become the leader."""
    return [
        Job(name="lease", every_seconds=LEASE_SECONDS, run=lease.tick),
        Job(name="refresh", every_seconds=REFRESH_CHECK_SECONDS, run=refresh_schedule.tick),
        Job(
            name="population_counts",
            every_seconds=POPULATION_COUNTS_SECONDS,
            run=population_counts.tick,
            leader_only=True,
        ),
        Job(
            name="partitions",
            every_seconds=PARTITIONS_SECONDS,
            run=lambda: keep_partitions(ledger, archive, clock_watch.conservative_now_ms()),
            leader_only=True,
        ),
        Job(
            name="audit",
            every_seconds=AUDIT_SECONDS,
            run=background_audit.tick,
            leader_only=True,
            leader_delay_seconds=AUDIT_LEADER_DELAY_SECONDS,
        ),
    ]


def keep_partitions(ledger: Ledger, archive: Archive, now_ms: int) -> None:
    """Create today's and tomorrow's partition, and archive those that no retry can need."""
    for day_ms in (now_ms, now_ms + DAY_MS):
        ledger.create(to_datetime(day_ms).strftime("%Y%m%d"))
    try:
        archive.close(*ledger.expired(now_ms))
    finally:
        archive.archive_late(now_ms)
