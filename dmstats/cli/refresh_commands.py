"""``flask refresh-stats`` and ``flask run-refresher``."""

from __future__ import annotations

import click
import msgspec
from flask.cli import with_appcontext
from rich.console import Console
from rich.table import Table

from dmstats.cli.command import Command
from dmstats.core.errors import ConfigError
from dmstats.web import services


@click.command(cls=Command)
@click.option("--publish/--no-publish", default=True, help="Whether open dashboards get it.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@with_appcontext
def refresh_stats(*, publish: bool, as_json: bool) -> None:
    """Refresh the statistics once, now, and print them."""
    done = services().refresher.refresh(publish=publish)
    if as_json:
        click.echo(msgspec.json.encode(done.snapshot))
        return
    table = Table("figure", "value", title=f"version {done.version}")
    for figure, value in done.snapshot.items():
        if isinstance(value, str | int | float):
            table.add_row(figure, str(value))
    table.add_row("published", "yes" if done.published else "no")
    Console().print(table)


@click.command(cls=Command)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Answer Prometheus there.")
@with_appcontext
def run_refresher(*, metrics_host: str, metrics_port: int | None) -> None:
    """Refresh on schedule in a process of its own, until SIGTERM or Ctrl-C."""
    if metrics_port is not None:
        try:
            services().metrics.serve(metrics_host, metrics_port)
        except OSError as error:
            raise ConfigError(f"{metrics_host}, port {metrics_port}: {error.strerror}") from error
    services().run_refresher()
