"""Numbered, idempotent, forward-only migrations, and the indexes, which every run checks."""

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
    """The default for callers that do not print progress."""


def names() -> list[str]:
    """All migrations, in the order of their numbers."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.removeprefix("m") for name in found if NUMBERED.fullmatch(name))


def apply(
    mongo: Mongo, settings: Settings, tell: Tell = ignore_line, progress: Tell = ignore_line
) -> list[str]:
    """Apply and record all pending migrations; returns their names.

    Concurrent runs are harmless, and an interrupted migration is repeated from its start. Every run
    creates missing indexes. ``tell`` is called with a line for each created index, ``progress``
    every few seconds while one is being built. Raises
    :class:`~dmstats.core.errors.ConfigError` with the obstacle.
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
