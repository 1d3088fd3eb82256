"""The name of every collection that dmstats reads or writes; no other module spells one out.

The host platform owns ``instagram_accounts`` and ``users``. ``stats_cache`` keeps the name that
dashboards of others read. All else carries the prefix ``dmstats_``, so that no collection of the
host platform can be mistaken for one of ours.
"""

from __future__ import annotations

ACCOUNTS = "instagram_accounts"
USERS = "users"
STATS_CACHE = "stats_cache"

OWN_PREFIX = "dmstats_"

HOURS = "dmstats_hours"
DAYS = "dmstats_days"

LEDGER_PREFIX = "dmstats_ledger_"
"""Followed by a partition: a UTC day (``YYYYMMDD``), ``other``, or ``closed_<day>_<n>`` while its
rows move into the archive."""

ARCHIVE = "dmstats_ledger_archive"
ARCHIVE_HOURS = "dmstats_ledger_archive_hours"
ARCHIVE_ACCOUNTS = "dmstats_ledger_archive_accounts"
ARCHIVE_SIMULATED = "dmstats_ledger_archive_simulated"
"""What the archived rows of simulated accounts were, so that a purge can take them back."""

AUDIT_RUNS = "dmstats_audit_runs"
AUDIT_PAGES = "dmstats_audit_pages"
AUDIT_REPAIRS = "dmstats_audit_repairs"
ACCOUNT_ACTIVITY = "dmstats_account_activity"

ACCOUNT_CHANGES = "dmstats_account_changes"
ACCOUNT_BACKLOG = "dmstats_account_backlog"
SIMULATIONS = "dmstats_simulations"
ADMINS = "dmstats_admins"
SESSIONS = "dmstats_sessions"
MIGRATIONS = "dmstats_migrations"
INSTALLATION = "dmstats_installation"
COMMIT_PROBE = "dmstats_commit_probe"
