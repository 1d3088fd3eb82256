"""``dmstats migrate``."""

from __future__ import annotations

import click

from dmstats.cli.command import Command
from migrations.__main__ import DAYS, run


@click.command(cls=Command, short_help="Apply migrations; `dmstats run` does this too.")
@click.option(
    "--shard", is_flag=True, help="Shard the ledger and the accounts in a sharded cluster."
)
@click.option(
    "--days",
    type=click.IntRange(1, 366),
    default=DAYS,
    show_default=True,
    help="With --shard: the number of days to prepare in advance.",
)
def migrate(*, shard: bool, days: int) -> None:
    """Apply all migrations and create missing indexes. Safe to run repeatedly."""
    if not run(shard=shard, days=days, tell=click.echo):
        click.echo("nothing to apply")
