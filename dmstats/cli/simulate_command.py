"""``simulate``."""

from __future__ import annotations

import math
import os
import random
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dmstats.cli.command import Command, Failure, connected, record
from dmstats.cli.urls import BaseUrl
from dmstats.commit.increments import merge
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.exit_codes import INTERRUPTED, USAGE
from dmstats.core.setting_types import is_loopback
from dmstats.core.stopping import StopSignal
from dmstats.db.admins.activity_log import Event
from dmstats.db.counting.purge import Purge
from dmstats.db.counting.simulations import Simulations
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.embedded.attach import data_dir, running
from dmstats.embedded.datadir import Service
from dmstats.ops.findings import Verdict
from dmstats.ops.webhook_probe import probe_webhook
from dmstats.services import Services
from dmstats.simulator.simulation import Result, SimulationPlan
from dmstats.simulator.simulation import simulate as run_simulation


class Number(click.FloatRange):
    """A number within bounds; rejects "nan"."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


@click.command(cls=Command, short_help="Send test webhooks and check that all are counted.")
@click.option(
    "--url", type=BaseUrl(), help="The service's base URL.  [default: the running service]"
)
@click.option(
    "--rate", type=Number(0, 100_000, min_open=True), default=200.0, show_default=True,
    help="New DMs per second.",
)  # fmt: skip
@click.option(
    "--seconds", type=Number(0, 604_800, min_open=True), default=60.0, show_default=True,
    help="Duration of the run.",
)  # fmt: skip
@click.option(
    "--duplicates", type=Number(0, 1, max_open=True), default=0.05, show_default=True,
    help="Share of events that are sent twice.",
)  # fmt: skip
@click.option(
    "--max-batch", type=click.IntRange(1, 1_000), default=50, show_default=True,
    help="Maximum events per POST.",
)  # fmt: skip
@click.option(
    "--accounts", type=click.IntRange(1, 100_000), default=40, show_default=True,
    help="Number of simulated accounts.",
)  # fmt: skip
@click.option(
    "--parallel", type=click.IntRange(1, 256), default=8, show_default=True,
    help="Number of concurrent POSTs.",
)  # fmt: skip
@click.option(
    "--timeout", type=Number(0, 3_600), default=90.0, show_default=True,
    help="Seconds after which a POST is no longer retried.",
)  # fmt: skip
@click.option("--seed", type=int, help="Random seed, to repeat an earlier run.")
@click.option("--purge", is_flag=True, help="Send nothing; remove everything simulate counted.")
@click.option("--yes", is_flag=True, help="Allow a service other than the embedded one.")
def simulate(*, url: str | None, purge: bool, yes: bool, **options: Any) -> None:
    """Send signed webhooks to a running service and compare the counters; exit 1 if not exact.

    The POSTs contain every event type that Meta sends, including duplicates. The accounts are
    simulated (simulated-...). Their events stay counted until `dmstats simulate --purge` removes
    them.
    """
    with connected() as services:
        service = running(os.environ)
        base = url or (service and service.base_url) or _local(services)
        where = f"{base}, database {services.mongo.db.name}"
        if not (yes or _is_embedded(services, service, base)):
            raise Failure(
                f"This is not the embedded service ({where}): simulated DMs would be counted "
                "together with real ones. To do this anyway, add --yes.",
                USAGE,
            )
        details = "simulate --purge" if purge else "simulate"
        record(services.activity_log, Event.COMMAND_RUN, details=details)
        if purge:
            _purge(services)
        else:
            _send(services, base, where, **options)


def _is_embedded(services: Services, service: Service | None, base: str) -> bool:
    """Whether both the address and the databases are those of `dmstats run` on the data folder."""
    settings = services.settings
    return (
        service is not None
        and _same(base, service.base_url)
        and (settings.mongodb_uri, settings.redis_url) == (service.mongodb_uri, service.redis_url)
    )


def _same(base: str, other: str) -> bool:
    """Whether both are the same address; all loopback names are equal."""
    one, two = urlsplit(base), urlsplit(other)
    local = is_loopback(one.hostname or "") and is_loopback(two.hostname or "")
    return base == other or (
        local and (one.scheme, one.port, one.path) == (two.scheme, two.port, two.path)
    )


def _local(services: Services) -> str:
    return f"http://127.0.0.1:{services.settings.port}"


def _send(
    services: Services, base: str, where: str, *, seed: int | None, max_batch: int, **options: Any
) -> None:
    settings = services.settings
    secret = settings.meta_app_secrets[0]
    answer = probe_webhook(base, settings.meta_verify_token or "", secret)
    if answer.verdict is Verdict.FAILURE:
        raise Failure(f"{answer.found}. {answer.remedy}")
    seed = random.getrandbits(32) if seed is None else seed
    click.echo(f"Sending to {where} (data folder {data_dir(os.environ).path}).", err=True)
    plan = SimulationPlan(base + WEBHOOK_PATH, secret, seed=seed, batch=(1, max_batch), **options)
    with StopSignal().listening() as stop, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"sending (seed {seed})", total=1.0)
        result = run_simulation(
            plan,
            services.mongo,
            services.ledger,
            lambda share: bar.update(task, completed=share),
            stop,
        )
    now_ms = services.clock.now_ms()
    Simulations(services.mongo).record(result.run, result.report.answers["duplicates"], now_ms)
    _print(result)  # first, because the refresh may fail
    services.refresher.refresh(publish=True)  # the dashboard shows the events at once
    if result.interrupted:
        click.echo("Interrupted: the table shows what was sent up to that point.", err=True)
    click.echo("These events stay counted until `dmstats simulate --purge`.", err=True)
    if result.interrupted:
        raise click.exceptions.Exit(INTERRUPTED)
    if not result.exact:
        raise Failure(_shortfall(result, seed))


def _shortfall(result: Result, seed: int) -> str:
    report = result.report
    if not report.acknowledged:
        return f"No POST was acknowledged; answers: {_answers(result)}."
    if report.given_up:
        return f"{report.given_up:,} POSTs timed out; answers: {_answers(result)}."
    return f"Not exact. Run `dmstats audit`, then repeat with --seed {seed}."


def _answers(result: Result) -> str:
    return ", ".join(f"{what}: {n:,}" for what, n in sorted(result.report.statuses.items()))


def _print(result: Result) -> None:
    table = Table("where", "sent", "received", title="DMs")
    table.add_row("sent to the service", f"{result.sent.sent:,}", f"{result.sent.received:,}")
    for place, tally in result.counted.items():
        style = "green" if result.agrees(place) else "bold red"
        table.add_row(place, f"{tally.sent:,}", f"{tally.received:,}", style=style)
    console, report = Console(), result.report
    console.print(table)
    if any(result.elsewhere):
        console.print(
            f"{sum(result.elsewhere):,} other DMs arrived during the run; hours, days and totals "
            "include them."
        )
    console.print(
        f"{report.acknowledged:,} POSTs acknowledged in {result.seconds:.1f} s, "
        f"{report.retries:,} retries, {report.given_up:,} timed out; "
        f"{result.repeated:,} events sent twice; answers: {_answers(result)}"
    )


def _purge(services: Services) -> None:
    purge = Purge(services.mongo, services.ledger, merge)
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("removing", total=None)
        removed = purge.run(lambda rows: bar.update(task, completed=rows))
    PopulationCounts(services.mongo, services.clock).recount()
    services.refresher.refresh(publish=True)
    click.echo(
        f"Removed {removed.sent:,} DMs sent, {removed.received:,} received, "
        f"{removed.other:,} other events and {removed.accounts:,} accounts."
        if any(removed)
        else "Nothing to remove."
    )
