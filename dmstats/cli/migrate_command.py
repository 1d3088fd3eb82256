"""``dmstats migrate``."""

from __future__ import annotations

import click

from dmstats.cli.command import Command
from migrations.__main__ import DAYS, run


@click.command(cls=Command, short_help="Bring the database up to date; `dmstats run` does it too.")
@click.option("--shard", is_flag=True, help="Spread ledger and accounts over a sharded cluster.")
@click.option(
    "--days",
    type=click.IntRange(1, 366),
    default=DAYS,
    show_default=True,
    help="With --shard: for how many days to come.",
)
def migrate(*, shard: bool, days: int) -> None:
    """Create the indexes and record it. Run twice, it changes nothing."""
    if not run(shard=shard, days=days, tell=click.echo):
        click.echo("nothing to apply")
