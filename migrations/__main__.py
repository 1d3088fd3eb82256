"""``python -m migrations``: bring the database up to date and say what was done."""

from __future__ import annotations

import os
import sys

from dmstats.config import Settings
from dmstats.embedded.attach import attach
from dmstats.errors import DmstatsError
from dmstats.store.client import connect
from migrations import apply


def main() -> int:
    try:
        settings = Settings.from_env(attach(os.environ))
        settings.require("mongodb_uri")
        mongo = connect(settings)
        try:
            applied = apply(mongo, settings)
        finally:
            mongo.close()
    except DmstatsError as error:
        print(f"migrations: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
    return 0


if __name__ == "__main__":
    sys.exit(main())
