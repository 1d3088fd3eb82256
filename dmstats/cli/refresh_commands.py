"""``refresh-stats`` and ``run-refresher``."""

from __future__ import annotations

import click
import msgspec

from dmstats.cli.command import Command, ServiceCommand, connected
from dmstats.core.errors import ConfigError


@click.command(cls=Command, short_help="Refresh the statistics now and print them.")
@click.option("--publish/--no-publish", default=True, help="Push the result to open dashboards.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def refresh_stats(*, publish: bool, as_json: bool) -> None:
    """Refresh the statistics now and print them."""
    from rich.console import Console  # noqa: PLC0415  not needed for JSON
    from rich.table import Table  # noqa: PLC0415

    with connected() as services:
        done = services.refresher.refresh(publish=publish)
    if as_json:
        click.echo(msgspec.json.encode(done.snapshot))
        return
    table = Table("figure", "value", title=f"version {done.version}")
    for figure, value in done.snapshot.items():
        if isinstance(value, str | int | float):
            table.add_row(figure, str(value))
    table.add_row("published", "yes" if done.published else "no")
    Console().print(table)


@click.command(cls=ServiceCommand, short_help="Run the refresher as a separate process.")
@click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="Address for --metrics-port."
)
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve metrics on this port.")
def run_refresher(*, metrics_host: str, metrics_port: int | None) -> None:
    """Run the refresher as a separate process until SIGTERM or Ctrl-C.

    Set STATS_REFRESHER=off on the web workers.
    """
    with connected() as services:
        if metrics_port is not None:
            try:
                services.metrics.serve(metrics_host, metrics_port)
            except OSError as error:
                where = f"{metrics_host}, port {metrics_port}"
                raise ConfigError(f"{where}: {error.strerror}") from error
        services.run_refresher()
