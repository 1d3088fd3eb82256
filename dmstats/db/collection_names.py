"""The names of all collections that dmstats reads or writes; defined only here.

The host platform owns ``instagram_accounts`` and ``users``. ``stats_cache`` has no prefix because
external dashboards read it. All other names start with ``dmstats_``, so that they cannot collide
with a collection of the host platform.
"""

from __future__ import annotations

ACCOUNTS = "instagram_accounts"
USERS = "users"
STATS_CACHE = "stats_cache"

OWN_PREFIX = "dmstats_"

HOURS = "dmstats_hours"
DAYS = "dmstats_days"

LEDGER_PREFIX = "dmstats_ledger_"
"""Followed by the partition: a UTC day (``YYYYMMDD``), ``other``, or ``closed_<day>_<n>`` while
its rows are being archived."""

ARCHIVE = "dmstats_ledger_archive"
ARCHIVE_HOURS = "dmstats_ledger_archive_hours"
ARCHIVE_ACCOUNTS = "dmstats_ledger_archive_accounts"
ARCHIVE_SIMULATED = "dmstats_ledger_archive_simulated"
"""A summary of the archived rows of simulated accounts, so that a purge can subtract them."""

AUDIT_RUNS = "dmstats_audit_runs"
AUDIT_PAGES = "dmstats_audit_pages"
AUDIT_REPAIRS = "dmstats_audit_repairs"
ACCOUNT_ACTIVITY = "dmstats_account_activity"
ACCOUNT_DAYS = "dmstats_account_days"
ACCOUNT_STATES = "dmstats_account_states"

ACCOUNT_CHANGES = "dmstats_account_changes"
ACCOUNT_MARKS = "dmstats_account_marks"
ACCOUNT_BACKLOG = "dmstats_account_backlog"
ACCOUNT_EDITS = "dmstats_account_edits"
ALERT_CHANNELS = "dmstats_alert_channels"
ALERT_RULES = "dmstats_alert_rules"
ANNOTATIONS = "dmstats_annotations"
INCIDENTS = "dmstats_incidents"
DELIVERIES = "dmstats_deliveries"
EVENT_NAMES = "dmstats_event_names"
SENDS = "dmstats_sends"
SEND_DAYS = "dmstats_send_days"
SIMULATIONS = "dmstats_simulations"
ADMINS = "dmstats_admins"
SESSIONS = "dmstats_sessions"
CHALLENGES = "dmstats_challenges"
ACTIVITY_LOG = "dmstats_activity_log"
API_TOKENS = "dmstats_api_tokens"
SHARED_LINKS = "dmstats_shared_links"
MIGRATIONS = "dmstats_migrations"
INSTALLATION = "dmstats_installation"
COMMIT_PROBE = "dmstats_commit_probe"
