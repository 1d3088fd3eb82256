"""`python -m dmstats`: the commands; :func:`main` runs the whole service until it is ended."""

from __future__ import annotations

import os
import signal
import sys
import threading

from dmstats.core.clock import SystemClock
from dmstats.core.errors import ConfigError, DmstatsError
from dmstats.core.settings import Settings
from dmstats.embedded.launcher import Launcher
from dmstats.embedded.supervisor import Ended

FAILED = 1
BAD_CONFIGURATION = 2


def main() -> int:
    """Run until SIGTERM, SIGINT or SIGHUP; the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = Settings.from_env(os.environ)
        Launcher(settings, os.environ, SystemClock(), stop, say).run()
    except DmstatsError as error:
        say(str(error))
        if isinstance(error, Ended):
            return error.code
        return BAD_CONFIGURATION if isinstance(error, ConfigError) else FAILED
    return 0


def say(line: str) -> None:
    """One line for whoever started the service."""
    print(f"dmstats: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    from dmstats import cli

    sys.exit(cli.main())
