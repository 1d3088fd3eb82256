"""The indexes that counting, the snapshot and sign-in rely on.

An index on a counter is paid at every increment, so there is only the one on ``dmUsed``;
``username`` serves the search.
"""

from __future__ import annotations

from pymongo import ASCENDING
from pymongo.database import Database

from dmstats.core.records import OTHER_PARTITION
from dmstats.core.settings import Settings
from dmstats.db.client import Document
from dmstats.db.collection_names import ACCOUNTS, ADMINS, LEDGER_PREFIX, SESSIONS, USERS

HOUR_SECONDS = 3600


def ensure(db: Database[Document], settings: Settings) -> None:
    """Create what is not there."""
    accounts = db[ACCOUNTS]
    accounts.create_index([("instagramId", ASCENDING)], unique=True)
    for field in ("dmUsed", "isActive", "createdAt", "username"):
        accounts.create_index([(field, ASCENDING)])
    db[USERS].create_index([("createdAt", ASCENDING)])
    db[ADMINS].create_index([("email", ASCENDING)], unique=True)
    sessions = db[SESSIONS]
    sessions.create_index([("endsAt", ASCENDING)], expireAfterSeconds=0)
    sessions.create_index([("admin", ASCENDING)])
    late = db[LEDGER_PREFIX + OTHER_PARTITION]
    # Only rows whose counts are in the archive may go: see docs/audit.md.
    late.create_index(
        [("arrived", ASCENDING)],
        expireAfterSeconds=settings.ledger_retention_hours * HOUR_SECONDS,
        partialFilterExpression={"archived": True},
    )
    late.create_index([("time", ASCENDING)])
