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
from dmstats.db.counting.ledger import PREFIX

HOUR_SECONDS = 3600


def apply(db: Database[Document], settings: Settings) -> None:
    accounts = db["instagram_accounts"]
    accounts.create_index([("instagramId", ASCENDING)], unique=True)
    for field in ("dmUsed", "isActive", "createdAt", "username"):
        accounts.create_index([(field, ASCENDING)])
    db["users"].create_index([("createdAt", ASCENDING)])
    db["dmstats_admins"].create_index([("email", ASCENDING)], unique=True)
    late = db[PREFIX + OTHER_PARTITION]
    # Only rows whose counts are in the archive may go: see docs/audit.md.
    late.create_index(
        [("arrived", ASCENDING)],
        expireAfterSeconds=settings.ledger_retention_hours * HOUR_SECONDS,
        partialFilterExpression={"archived": True},
    )
    late.create_index([("time", ASCENDING)])
