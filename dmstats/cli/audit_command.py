"""``audit``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dmstats.audit.auditor import Outcome
from dmstats.cli.command import Command, connected
from dmstats.core.clock import rfc3339
from dmstats.core.exit_codes import FAILED, INTERRUPTED
from dmstats.core.stopping import StopSignal
from dmstats.db.audit.differences import Difference

KIND = "command"
MOST_ROWS = 100


@click.command(cls=Command, short_help="Check every counter against the ledger.")
@click.option("--repair", is_flag=True, help="Add what the counters lack, and write that down.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def audit(*, repair: bool, as_json: bool) -> None:
    """Recount the ledger against hours, days, accounts and totals; exit 1 if they differ.

    Traffic may go on meanwhile. An audit that was interrupted goes on where it was.
    """
    outcome = Outcome()
    bar = Progress(console=Console(stderr=True), disable=as_json)
    interrupted = False
    with (
        connected() as services,
        StopSignal().listening() as stop,
        bar,
        closing(services.auditor(repair=repair).steps(KIND, outcome)) as steps,
    ):
        task = bar.add_task("hours", total=None)
        for step in steps:
            bar.update(task, completed=step.done, total=step.total, description=step.what)
            if interrupted := stop.wait(0):
                break
    if interrupted:
        click.echo("Interrupted. The next audit goes on from here.", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if as_json:
        click.echo(msgspec.json.encode(_result(outcome)))
    else:
        _print(outcome)
    if outcome.differences:
        raise click.exceptions.Exit(FAILED)


def _result(outcome: Outcome) -> dict[str, object]:
    return {
        "drift": outcome.drift,
        "differences": [_named(difference) for difference in outcome.differences],
        "repaired": [_named(difference) for difference in outcome.repaired],
    }


def _named(difference: Difference) -> dict[str, object]:
    return {
        "place": difference.place,
        "key": _key(difference),
        "field": difference.field,
        "counted": difference.counted,
        "expected": difference.expected,
    }


def _key(difference: Difference) -> str:
    dated = difference.place in {"hours", "minutes", "days"}
    return rfc3339(int(difference.key)) if dated else difference.key


def _print(outcome: Outcome) -> None:
    console = Console()
    if outcome.repaired:
        console.print(_table("repaired", outcome.repaired, "green"))
    if outcome.differences:
        console.print(_table("counters that differ from the ledger", outcome.differences, "red"))
        console.print(f"off by {outcome.drift:,}; `dmstats audit --repair` adds what is missing")
    else:
        console.print("verified: drift 0")


def _table(title: str, differences: Sequence[Difference], style: str) -> Table:
    table = Table("place", "of", "counter", "counted", "ledger", "missing", title=title)
    for each in differences[:MOST_ROWS]:
        numbers = (f"{each.counted:,}", f"{each.expected:,}", f"{each.missing:+,}")
        key = _key(each).removesuffix(":00.000Z")
        table.add_row(each.place, key, each.field, *numbers, style=style)
    if len(differences) > MOST_ROWS:
        table.caption = f"and {len(differences) - MOST_ROWS:,} more"
    return table
