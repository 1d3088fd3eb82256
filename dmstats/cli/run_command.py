"""``dmstats run``."""

from __future__ import annotations

import click

from dmstats.cli.command import ServiceCommand


@click.command(cls=ServiceCommand, short_help="Run the service until Ctrl-C; the default.")
@click.pass_context
def run(ctx: click.Context) -> None:
    """Run the service in the foreground, with its own databases unless MONGODB_URI and REDIS_URL
    are set, until Ctrl-C or SIGTERM.

    HOST and PORT say where it listens (127.0.0.1 and 8000), DMSTATS_DATA_DIR where its data is
    (./var). All settings: docs/configuration.md.
    """
    from dmstats.__main__ import main  # noqa: PLC0415  it takes over the signals

    ctx.exit(main())
