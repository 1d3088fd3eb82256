"""``python -m migrations [--shard]``: bring the database up to date and say what was done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dmstats.core.errors import DmstatsError
from dmstats.core.settings import Settings
from dmstats.db.client import connect
from dmstats.embedded.attach import attach
from migrations import apply
from migrations.sharding import shard

DAYS = 7


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m migrations", description=__doc__)
    parser.add_argument(
        "--shard", action="store_true", help="spread ledger and accounts over a sharded cluster"
    )
    parser.add_argument(
        "--days", type=int, default=DAYS, help="how many days to come (default: %(default)s)"
    )
    told = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(attach(os.environ))
        settings.require("mongodb_uri")
        mongo = connect(settings, unlimited=True)
        lines = []

        def tell(line: str) -> None:
            lines.append(line)
            print(line, flush=True)

        try:
            for name in apply(mongo, settings, tell, tell):
                tell(f"applied {name}")
            if told.shard:
                for name in shard(mongo, settings, days=told.days):
                    tell(f"sharded {name}")
        finally:
            mongo.close()
    except DmstatsError as error:
        print(f"migrations: {error}", file=sys.stderr)
        return 1
    if not lines:
        print("nothing to apply")
    return 0


if __name__ == "__main__":
    sys.exit(main())
