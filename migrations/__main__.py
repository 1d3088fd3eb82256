"""``python -m migrations [--shard]``: apply pending migrations and print what was done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from dmstats.cli.command import record
from dmstats.core.clock import SystemClock
from dmstats.core.errors import ConfigError, DmstatsError, StoreUnavailable
from dmstats.core.exit_codes import FAILED, OK, USAGE
from dmstats.core.settings import Settings
from dmstats.db.admins.activity_log import ActivityLog, Event
from dmstats.db.client import connect
from dmstats.db.outage import explain
from dmstats.embedded.attach import attach, require
from migrations import apply
from migrations.sharding import shard as spread

DAYS = 7
MAX_DAYS = 366


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m migrations", description=__doc__)
    parser.add_argument(
        "--shard", action="store_true", help="shard ledger and accounts in a sharded cluster"
    )
    parser.add_argument(
        "--days", type=int, default=DAYS, help="days to prepare in advance (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.days <= MAX_DAYS:
        parser.error(f"--days must be from 1 to {MAX_DAYS}")
    try:
        done = run(
            shard=options.shard, days=options.days, tell=lambda line: print(line, flush=True)
        )
    except DmstatsError as error:
        print(f"migrations: {error}", file=sys.stderr)
        return USAGE if isinstance(error, ConfigError) else FAILED
    if not done:
        print("nothing to apply")
    return OK


def run(*, shard: bool, days: int, tell: Callable[[str], None]) -> bool:
    """Apply pending migrations to the configured database; ``tell`` is called with a line for each
    change. Returns whether there was any."""
    settings = Settings.from_env(attach(os.environ))
    require(settings, os.environ, "mongodb_uri")
    mongo = connect(settings, unlimited=True)
    lines: list[str] = []

    def done(line: str) -> None:
        lines.append(line)
        tell(line)

    try:
        for name in apply(mongo, settings, done, done):
            done(f"applied {name}")
        if shard:
            for name in spread(mongo, settings, days=days):
                done(f"sharded {name}")
        if lines:
            log = ActivityLog(mongo, SystemClock(), days=settings.activity_log_days)
            record(log, Event.COMMAND_RUN, details=f"migrate: {len(lines)} changes")
    except StoreUnavailable as error:
        raise StoreUnavailable(explain(error, mongo)) from error
    finally:
        mongo.close()
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
