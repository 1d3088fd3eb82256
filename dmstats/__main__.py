"""`python -m dmstats`: the commands; :func:`main` runs the whole service until it is stopped."""

from __future__ import annotations

import os
import sys

from dmstats.core.stopping import Stop, StopSignal


def main() -> int:
    """Run until SIGTERM, SIGINT or SIGHUP; returns the exit status."""
    stop = StopSignal()
    stop.listen()
    try:
        return run(stop)
    finally:
        stop.ignore()


def run(stop: Stop) -> int:
    """Run until ``stop``; returns the exit status."""
    # Imported after the signal handlers are installed, because importing takes about a second.
    from dmstats.core.clock import SystemClock  # noqa: PLC0415
    from dmstats.core.errors import ConfigError, DmstatsError  # noqa: PLC0415
    from dmstats.core.exit_codes import FAILED, OK, USAGE  # noqa: PLC0415
    from dmstats.core.non_blocking_stream import standard_error  # noqa: PLC0415
    from dmstats.core.settings import Settings  # noqa: PLC0415
    from dmstats.embedded.launcher import Launcher  # noqa: PLC0415
    from dmstats.embedded.supervisor import Ended  # noqa: PLC0415

    # A terminal that is paused (Ctrl-S) must not keep ended processes from being started again.
    output = standard_error()

    def say(line: str) -> None:
        output.write(f"dmstats: {line}\n")
        output.flush()

    try:
        settings = Settings.from_env(os.environ)
        Launcher(settings, os.environ, SystemClock(), stop, say).run()
    except DmstatsError as error:
        say(str(error))
        if isinstance(error, Ended):
            return error.code
        return USAGE if isinstance(error, ConfigError) else FAILED
    return OK


if __name__ == "__main__":
    from dmstats import cli

    sys.exit(cli.main())
