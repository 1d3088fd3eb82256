"""Checks an installation, component by component, with a remedy for each problem."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dmstats.core.clock import Clock
from dmstats.core.errors import DmstatsError
from dmstats.core.settings import Settings
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import MAX_LISTED, Health
from dmstats.ops.channels import ChannelList
from dmstats.ops.config_warnings import config_warnings
from dmstats.ops.findings import Finding, failed, passed, skipped, warning
from dmstats.snapshot.encoded import STALE_AFTER_INTERVALS

CLOCK_WARNING_MS, CLOCK_FAILURE_MS = 2_000, 60_000
TRANSACTION_SECONDS = 10
MIN_FREE_BYTES = 1_000_000_000
MIN_FREE_SHARE = 0.05
HOUR_SECONDS = 3600


class Doctor:
    """``migrations`` are the names of this version's migrations. ``probe_redis`` and
    ``probe_webhook`` test Redis and the webhook. ``explain`` describes an outage of MongoDB.
    ``accounts`` finds accounts with unreadable values. ``probe_provider`` tests the provider of
    single sign-on, where there is one."""

    def __init__(
        self,
        settings: Settings,
        health: Health,
        snapshots: SnapshotStore,
        clock: Clock,
        *,
        migrations: Sequence[str],
        probe_redis: Callable[[], Iterator[Finding]],
        probe_webhook: Callable[[], Finding],
        explain: Callable[[DmstatsError], str] = str,
        accounts: Callable[[], Iterator[Finding]] = lambda: iter(()),
        channels: ChannelList | None = None,
        probe_provider: Callable[[], Finding] | None = None,
    ) -> None:
        self._probe_provider = probe_provider
        self._channels = channels
        self._check_accounts = accounts
        self._settings = settings
        self._health = health
        self._snapshots = snapshots
        self._probe_redis = probe_redis
        self._clock = clock
        self._migrations = migrations
        self._probe_webhook = probe_webhook
        self._explain = explain

    def examine(self) -> Iterator[Finding]:
        """Run all checks; yields each finding as it is made."""
        yield from self._check_settings()
        yield from self._check_mongodb()
        yield from self._probe_redis()
        yield self._probe_webhook()
        if self._probe_provider is not None:
            yield self._probe_provider()
        yield from self._check_channels()
        yield check_disk(self._settings.data_dir)

    def _check_settings(self) -> Iterator[Finding]:
        sentences = config_warnings(self._settings)
        for sentence in sentences:
            doubt, _, remedy = sentence.partition(": ")
            yield warning("settings", doubt, f"See docs/configuration.md: {remedy}")
        if not sentences:
            yield passed("settings", "all settings valid")

    def _check_channels(self) -> Iterator[Finding]:
        channels = self._channels.current() if self._channels else []
        if self._channels and not self._channels.is_complete:
            yield skipped("alerts", "channels made on the page cannot be read without MongoDB")
        elif not channels:
            yield skipped(
                "alerts",
                "no channel in DMSTATS_ALERT_URL or on the page: incidents are only logged",
            )
        for channel in channels:
            outcome = channel.check()
            if outcome.told:
                yield passed("alerts", f"{channel.label} can be used (not tested)")
            else:
                yield failed(
                    "alerts",
                    f"{channel.label}: {outcome.problem}",
                    "Correct it in DMSTATS_ALERT_URL or on the page /alerts, then run "
                    "`dmstats test-alert`.",
                )

    def _check_mongodb(self) -> Iterator[Finding]:
        checks = (
            self._check_server,
            self._check_commit,
            self._check_clock,
            self._check_schema,
            self._check_figures,
            self._check_accounts,
        )
        try:
            for check in checks:
                yield from check()
        except DmstatsError as error:
            yield failed(
                "mongodb",
                self._explain(error),
                "Check that MongoDB is running, that MONGODB_URI is reachable from here, and "
                "that its user can read and write the database. Until then, webhooks get 503.",
            )

    def _check_server(self) -> Iterator[Finding]:
        server = self._health.server()
        yield passed("mongodb", f"version {server.version} answers")
        if server.transactional:
            yield passed("transactions", "supported")
        else:
            yield warning(
                "transactions",
                "not supported by a standalone server: a crash may leave the counters out of step "
                "with the ledger",
                "Convert it to a replica set (one member is enough), or run `dmstats audit "
                "--repair` after every crash.",
            )
        seconds = server.transaction_seconds
        if seconds is None:
            yield skipped("transaction lifetime", "not reported by this server")
        elif seconds > TRANSACTION_SECONDS:
            yield warning(
                "transaction lifetime",
                f"transactionLifetimeLimitSeconds is {seconds}: a host that dies during a commit "
                "may block counting for that long",
                "Run db.adminCommand({setParameter: 1, transactionLifetimeLimitSeconds: 5}), and "
                "set the same in mongod's configuration.",
            )
        else:
            yield passed("transaction lifetime", f"{seconds} s")

    def _check_commit(self) -> Iterator[Finding]:
        for fault in self._health.unwritable():
            yield failed(
                "collections",
                fault,
                "Copy its documents into an ordinary collection, and rename that. Until then, "
                "webhooks get 503.",
            )
        try:
            self._health.try_commit()
        except DmstatsError as error:
            yield failed(
                "commit",
                str(error),
                "Check that MONGODB_URI leads to the primary (no directConnection to a secondary), "
                "that its user has the role readWrite on the database, and that the server's disk "
                "is not full. Until then, webhooks get 503.",
            )
        else:
            yield passed("commit", "a test transaction could write (and was rolled back)")

    def _check_clock(self) -> Iterator[Finding]:
        ahead = self._health.ahead_ms(self._clock.now_ms())
        found = f"MongoDB's clock differs by {ahead / 1000:+.1f} s"
        remedy = "Run an NTP client (chrony, systemd-timesyncd) on both machines."
        if abs(ahead) >= CLOCK_FAILURE_MS:
            yield failed("clock", found, remedy)
        elif abs(ahead) >= CLOCK_WARNING_MS:
            yield warning("clock", found, remedy)
        else:
            yield passed("clock", found)

    def _check_schema(self) -> Iterator[Finding]:
        applied = self._health.migrations()
        missing = [name for name in self._migrations if name not in applied]
        if missing:
            yield failed("migrations", f"not applied: {', '.join(missing)}", "python -m migrations")
        else:
            yield passed("migrations", f"{len(self._migrations)} applied")
        if absent := self._health.missing_indexes():
            yield failed(
                "indexes",
                f"missing or not unique: {', '.join(absent)}",
                "Run python -m migrations. It creates missing indexes and reports what prevents "
                "it.",
            )
        else:
            yield passed("indexes", "all present")
        for name, keys in self._health.blocking_unique_indexes():
            yield warning(
                "indexes",
                f'the unique index "{name}" of instagram_accounts is on {keys}: a second account '
                "without that cannot be created, and its DMs cannot be counted on it",
                "Make the index partial: partialFilterExpression with $exists: true on the field.",
            )
        yield from self._check_account_ids()
        wanted, kept = self._settings.ledger_retention_hours, self._health.late_rows_seconds()
        if kept is not None and kept != wanted * HOUR_SECONDS:
            yield warning(
                "retention",
                f"late events are kept for {kept // HOUR_SECONDS} h instead of {wanted} h",
                'db.runCommand({collMod: "dmstats_ledger_other", index: {keyPattern: '
                f"{{arrived: 1}}, expireAfterSeconds: {wanted * HOUR_SECONDS}}}}})",
            )

    def _check_account_ids(self) -> Iterator[Finding]:
        try:
            found = self._health.accounts_without_text_id()
        except DmstatsError:
            yield skipped("account ids", "too many accounts to scan them now")
            return
        if found:
            yield failed(
                "account ids",
                f"instagramId is not a string in instagram_accounts, _id {', '.join(found)}"
                f"{' and possibly more' if len(found) == MAX_LISTED else ''}",
                "Webhooks identify accounts by a string, so no DM counts on these. Convert them: "
                "db.instagram_accounts.updateMany({instagramId: {$type: 'number'}}, [{$set: "
                "{instagramId: {$toString: {$toLong: '$instagramId'}}}}]). A duplicate key error "
                "means that a second account with that id exists: merge the two.",
            )
        else:
            yield passed("account ids", "all strings")

    def _check_figures(self) -> Iterator[Finding]:
        stored = self._snapshots.load()
        remedy = (
            "Check that the service is running (with STATS_REFRESHER=off, `dmstats run-refresher` "
            "too). Its log shows why a refresh failed. `dmstats refresh-stats` refreshes now."
        )
        if stored is None:
            yield warning("refresh", "there are no figures yet", remedy)
            return
        age = (self._clock.now_ms() - stored.computed_ms) / 1000
        found = f"the newest figures are {age:.0f} s old"
        if age > self._settings.refresh_interval * STALE_AFTER_INTERVALS:
            yield failed("refresh", found, remedy)
        else:
            yield passed("refresh", found)


def check_disk(folder: Path) -> Finding:
    """The free disk space at the data folder, or at its closest existing parent."""
    place = next((path for path in (folder, *folder.parents) if path.exists()), Path())
    usage = shutil.disk_usage(place.absolute())
    found = f"{usage.free / 1e9:.1f} GB free at {place.absolute()}"
    if usage.free < max(MIN_FREE_BYTES, MIN_FREE_SHARE * usage.total):
        return failed(
            "disk",
            found,
            "Free up space or move DMSTATS_DATA_DIR: the embedded databases stop when the disk is "
            "full.",
        )
    return passed("disk", found)
