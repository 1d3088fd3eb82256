"""``dmstats run``."""

from __future__ import annotations

import click

from dmstats.cli.command import ServiceCommand


@click.command(cls=ServiceCommand, short_help="Run the service (default command).")
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the service in the foreground until Ctrl-C or SIGTERM. It starts embedded databases
    unless MONGODB_URI and REDIS_URL are set.

    Set HOST and PORT for the listening address (default 127.0.0.1:8000) and DMSTATS_DATA_DIR for
    the data folder (default ./var). All settings: docs/configuration.md.
    """
    from dmstats.__main__ import main  # noqa: PLC0415  it installs signal handlers

    ctx.exit(main())
