"""``flask simulate``."""

from __future__ import annotations

import os
import random
from typing import Any

import click
from flask.cli import with_appcontext
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dmstats.cli.command import Command
from dmstats.core.stopping import INTERRUPTED, StopSignal
from dmstats.embedded.attach import running
from dmstats.ingest.webhook import PATH
from dmstats.simulator.simulation import Result, SimulationPlan
from dmstats.simulator.simulation import simulate as run_simulation
from dmstats.web import services


@click.command(cls=Command)
@click.option("--url", help="The service's base address.  [default: the running one's]")
@click.option("--rate", default=200.0, show_default=True, help="New DMs a second.")
@click.option("--seconds", default=60.0, show_default=True, help="For how long.")
@click.option("--duplicates", default=0.05, show_default=True, help="Share of events sent again.")
@click.option("--max-batch", default=50, show_default=True, help="Most events a POST; least 1.")
@click.option("--accounts", default=40, show_default=True, help="Over how many accounts.")
@click.option("--parallel", default=8, show_default=True, help="POSTs under way at once.")
@click.option("--patience", default=90.0, show_default=True, help="Seconds to retry a POST for.")
@click.option("--seed", type=int, help="Repeat an earlier run's choices.")
@with_appcontext
def simulate(*, url: str | None, seed: int | None, max_batch: int, **options: Any) -> None:
    """Send signed webhooks to a running service, and compare what it counted; exit 1 if not exact.

    POSTs carry every shape of event that Meta sends, some of them twice. Nothing else may send to
    the service meanwhile.
    """
    app_services = services()
    seed = random.getrandbits(32) if seed is None else seed
    service = running(os.environ)
    base = url or (service and service.base_url) or f"http://127.0.0.1:{app_services.settings.port}"
    secret = app_services.settings.meta_app_secrets[0]
    plan = SimulationPlan(
        base.rstrip("/") + PATH, secret, seed=seed, batch=(1, max_batch), **options
    )
    with StopSignal().listening() as stop, Progress() as bar:
        task = bar.add_task(f"sending (seed {seed})", total=1.0)
        result = run_simulation(
            plan,
            app_services.mongo,
            app_services.ledger,
            lambda share: bar.update(task, completed=share),
            stop,
        )
    _print(result)
    if result.interrupted:
        click.echo("interrupted: this is what was sent until then", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if not result.exact:
        raise click.ClickException(f"not exact; repeat with --seed {seed}")


def _print(result: Result) -> None:
    table = Table("where", "sent", "received", title="DMs")
    table.add_row("sent to the service", f"{result.sent.sent:,}", f"{result.sent.received:,}")
    for place, tally in result.counted.items():
        style = "green" if tally == result.sent else "bold red"
        table.add_row(place, f"{tally.sent:,}", f"{tally.received:,}", style=style)
    console = Console()
    console.print(table)
    report = result.report
    console.print(
        f"{report.acknowledged:,} POSTs acknowledged in {result.seconds:.1f} s, "
        f"{report.retries:,} retried, {report.given_up:,} given up; "
        f"{result.repeated:,} events sent twice; answers {dict(report.statuses)}"
    )
