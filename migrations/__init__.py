"""Numbered, idempotent changes of the database, forward only; and the indexes, made each time."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import UTC, datetime

from dmstats.core.settings import Settings
from dmstats.db.client import Mongo, translated
from dmstats.db.collection_names import MIGRATIONS
from migrations import ensure_indexes
from migrations.ensure_indexes import Tell

NUMBERED = re.compile(r"m\d{4}_\w+")


def ignore_line(_line: str) -> None:
    """Where there is no one to tell."""


def names() -> list[str]:
    """All migrations, in the order of their numbers."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.removeprefix("m") for name in found if NUMBERED.fullmatch(name))


def apply(
    mongo: Mongo, settings: Settings, tell: Tell = ignore_line, progress: Tell = ignore_line
) -> list[str]:
    """Apply what is not recorded yet, record it, and return the names of what was applied.

    Two runs at the same time do the same harmless work twice; one that was interrupted is made
    again from its start. The indexes are checked by every run, so one that was dropped comes back:
    ``tell`` hears of each that is made, ``progress`` every few seconds how far one is. Raises
    :class:`~dmstats.core.errors.ConfigError` with what is in the way.
    """
    applied = []
    with translated():
        done = {record["_id"] for record in mongo.db[MIGRATIONS].find({}, {"_id": True})}
        for name in names():
            if name not in done:
                importlib.import_module(f"migrations.m{name}").apply(mongo.db, settings)
                record = {"$setOnInsert": {"appliedAt": datetime.now(UTC)}}
                mongo.db[MIGRATIONS].update_one({"_id": name}, record, upsert=True)
                applied.append(name)
        ensure_indexes.ensure(mongo.db, settings, tell, progress)
    return applied
