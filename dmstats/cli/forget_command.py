"""``forget-account``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.progress import Progress

from dmstats.cli.command import Command, connected, record
from dmstats.core.account_digest import account_digest
from dmstats.core.errors import DmstatsError
from dmstats.db.admins.activity_log import Event
from dmstats.db.counting.forgetting import Forgetting, Forgotten
from dmstats.db.dashboard.population import PopulationCounts
from dmstats.services import Services

DOCUMENTS = {
    "deleted": "Its document is deleted.",
    "kept": "Its document belongs to the host platform, and stays, without dmstats' counts.",
    "new": "DMs that arrived in the meantime count towards a new account.",
    "none": "It had no document.",
}


@click.command(cls=Command, short_help="Remove an account from everything except the totals.")
@click.argument("instagram_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def forget_account(instagram_id: str, yes: bool) -> None:  # noqa: FBT001 - click's
    """Remove the account with the Instagram id ID from everything except the anonymous totals.

    Totals, hours and days stay as they are, and the audit finds no drift. This cannot be undone. It
    works during live traffic and can be run again after an interruption. DMs that arrive later
    count towards a new account.
    """
    with connected() as services:
        if not yes:
            where = services.mongo.db.name
            click.confirm(f"Forget {instagram_id} in database {where} for ever?", abort=True)
        digest = account_digest(services.settings.secret_key or "", instagram_id)
        try:
            done = _forget(services, instagram_id)
        except (DmstatsError, KeyboardInterrupt):
            details = f"{digest}, not finished"
            record(services.activity_log, Event.ACCOUNT_FORGOTTEN, details=details)
            raise
        services.activity_log.forget(instagram_id, digest)
        record(services.activity_log, Event.ACCOUNT_FORGOTTEN, details=digest)
        PopulationCounts(services.mongo, services.clock).recount()
        services.publisher.drop_published()
        services.refresher.refresh(publish=True)
    click.echo(
        f"{done.sent:,} DMs sent, {done.received:,} received and {done.other:,} other events no "
        f"longer belong to it. {DOCUMENTS[done.document]}"
    )
    click.echo(f"Its digest in the activity log is {digest}.")


def _forget(services: Services, instagram_id: str) -> Forgotten:
    forgetting = Forgetting(
        services.mongo,
        services.ledger,
        services.clock,
        days_kept=services.settings.account_days_kept,
    )
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("forgetting", total=None)
        return forgetting.run(instagram_id, lambda done: bar.update(task, completed=done))
