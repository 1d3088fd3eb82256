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
from dmstats.cli.command import Command, connected, record
from dmstats.core.clock import rfc3339
from dmstats.core.exit_codes import FAILED, INTERRUPTED
from dmstats.core.stopping import StopSignal
from dmstats.db.admins.activity_log import Event
from dmstats.db.audit.differences import Difference, OddDocument

KIND = "command"
MAX_ROWS = 100
MAX_LISTED = 20
HAPPENED = {
    "changed": "the counter was set",
    "replaced": "the document was replaced or is new",
    "deleted": "the account was deleted",
}


@click.command(cls=Command, short_help="Check every counter against the ledger.")
@click.option("--repair", is_flag=True, help="Correct the counters and record each repair.")
@click.option(
    "--accounts",
    is_flag=True,
    help="With --repair, after a restore: also correct account counters from the ledger, assuming "
    "that the platform has not changed them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def audit(*, repair: bool, accounts: bool, as_json: bool) -> None:
    """Compare hours, days, accounts and totals with the ledger; exit code 1 if they differ.

    Changes that the host platform made to its accounts are listed but do not count as drift. The
    service may keep running. An interrupted audit resumes where it stopped.
    """
    if accounts and not repair:
        raise click.UsageError("--accounts requires --repair.")
    outcome = Outcome()
    bar = Progress(console=Console(stderr=True), disable=as_json)
    interrupted = False
    with (
        connected() as services,
        StopSignal().listening() as stop,
        bar,
        closing(
            services.auditor(repair=repair, believe_ledger=accounts).steps(KIND, outcome)
        ) as steps,
    ):
        task = bar.add_task("hours", total=None)
        try:
            for step in steps:
                bar.update(task, completed=step.done, total=step.total, description=step.what)
                if interrupted := stop.wait(0):
                    break
        finally:
            if repair:
                counters = f"audit --repair: {len(outcome.repaired)} counters corrected"
                record(services.activity_log, Event.COMMAND_RUN, details=counters)
    if interrupted:
        click.echo("Interrupted. The next audit resumes here.", err=True)
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
        "changedByPlatform": [
            _named(each) | {"why": each.why} for each in outcome.changed[:MAX_ROWS]
        ],
        "accountsChangedByPlatform": len({each.key for each in outcome.changed}),
        "unreadable": [msgspec.to_builtins(each) for each in outcome.odd[:MAX_LISTED]],
        "documentsUnreadable": len(outcome.odd),
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
    if outcome.changed:
        console.print(_changes(outcome.changed))
    if outcome.odd:
        console.print(_unreadable(outcome.odd))
    if outcome.differences:
        console.print(_table("counters that differ from the ledger", outcome.differences, "red"))
        console.print(f"off by {outcome.drift:,}; `dmstats audit --repair` corrects the counters")
    else:
        console.print("verified: drift 0")


def _changes(changed: Sequence[Difference]) -> Table:
    title = "changed by the platform since the previous audit (not drift)"
    table = Table("account", "counter", "holds", "ledger says", "what happened", title=title)
    for each in changed[:MAX_LISTED]:
        numbers = (f"{each.counted:,}", f"{each.expected:,}")
        table.add_row(each.key, each.field, *numbers, HAPPENED[each.why])
    if len(changed) > MAX_LISTED:
        table.caption = f"and {len(changed) - MAX_LISTED:,} more counters"
    return table


def _unreadable(odd: Sequence[OddDocument]) -> Table:
    table = Table("collection", "_id", "fields", title="unreadable values, shown as unknown")
    for each in odd[:MAX_LISTED]:
        table.add_row(each.collection, each.key, ", ".join(each.fields))
    if len(odd) > MAX_LISTED:
        table.caption = f"and {len(odd) - MAX_LISTED:,} more documents"
    return table


def _table(title: str, differences: Sequence[Difference], style: str) -> Table:
    table = Table("place", "of", "counter", "counted", "ledger", "missing", title=title)
    for each in differences[:MAX_ROWS]:
        numbers = (f"{each.counted:,}", f"{each.expected:,}", f"{each.missing:+,}")
        key = _key(each).removesuffix(":00.000Z")
        table.add_row(each.place, key, each.field, *numbers, style=style)
    if len(differences) > MAX_ROWS:
        table.caption = f"and {len(differences) - MAX_ROWS:,} more"
    return table
