"""``flask doctor``."""

from __future__ import annotations

import dataclasses
import os
from functools import partial

import click
import msgspec
from flask.cli import with_appcontext
from rich.console import Console
from rich.table import Table
from rich.text import Text

import migrations
from dmstats.cli.command import Command
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health
from dmstats.embedded.attach import running
from dmstats.ops.account_findings import account_findings
from dmstats.ops.doctor import Doctor
from dmstats.ops.findings import Finding, Verdict
from dmstats.ops.webhook_probe import probe_webhook
from dmstats.web import services

STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.SKIPPED: "dim",
}


@click.command(cls=Command)
@click.option(
    "--url", help="The public base address to try.  [default: DMSTATS_CANARY_URL, or the local one]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@with_appcontext
def doctor(*, url: str | None, as_json: bool) -> None:
    """Examine settings, databases, schema, lease, webhook and disk; exit 1 on any failure."""
    app_services = services()
    settings = app_services.settings
    service = running(os.environ)
    local = (service and service.base_url) or f"http://127.0.0.1:{settings.port}"
    base = url or settings.canary_url or local
    examiner = Doctor(
        settings,
        Health(app_services.mongo),
        SnapshotStore(app_services.mongo),
        app_services.redis,
        app_services.clock,
        migrations=migrations.names(),
        probe_webhook=partial(
            probe_webhook, base, settings.meta_verify_token or "", settings.meta_app_secrets[0]
        ),
        accounts=partial(account_findings, OddDocuments(app_services.mongo)),
    )
    findings = list(examiner.examine())
    if as_json:
        click.echo(msgspec.json.encode([dataclasses.asdict(finding) for finding in findings]))
    else:
        _print(findings)
    if any(finding.verdict is Verdict.FAILURE for finding in findings):
        click.get_current_context().exit(1)


def _print(findings: list[Finding]) -> None:
    table = Table("", "verdict", "found and what to do", box=None)
    for finding in findings:
        said = Text(finding.found)
        if finding.remedy:
            said.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(finding.check, Text(finding.verdict, style=STYLES[finding.verdict]), said)
    Console().print(table)
