"""``doctor``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from functools import partial

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

import migrations
from dmstats.app import settings_from
from dmstats.cli.command import Command
from dmstats.cli.urls import BaseUrl
from dmstats.core.clock import SystemClock
from dmstats.core.errors import ConfigError
from dmstats.core.exit_codes import FAILED
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_client import redis_client
from dmstats.core.settings import Settings
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.client import connect
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.db.health import Health
from dmstats.db.installation import Installation
from dmstats.db.outage import explain
from dmstats.db.transaction_runner import TransactionRunner
from dmstats.embedded.attach import data_dir, running
from dmstats.embedded.webserver import base_url
from dmstats.ops.account_findings import account_findings
from dmstats.ops.channels import known_channels
from dmstats.ops.doctor import Doctor, check_disk
from dmstats.ops.findings import Finding, Verdict, failed, passed, skipped
from dmstats.ops.oidc_discovery import probe_provider
from dmstats.ops.redis_probe import probe_redis
from dmstats.ops.webhook_probe import probe_webhook
from dmstats.wiring import REDIS_SECONDS

STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILURE: "bold red",
    Verdict.SKIPPED: "dim",
}


@click.command(cls=Command, short_help="Check the installation and suggest remedies.")
@click.option(
    "--url",
    type=BaseUrl(),
    help="The public base URL to test.  [default: DMSTATS_CANARY_URL, or the local one]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, url: str | None, as_json: bool) -> None:
    """Check settings, databases, schema, lease, webhook, single sign-on and disk.

    The exit code is 1 on any failure."""
    findings = list(_examine(url))
    if as_json:
        click.echo(msgspec.json.encode([dataclasses.asdict(finding) for finding in findings]))
    else:
        _print(findings)
    if any(finding.verdict is Verdict.FAILURE for finding in findings):
        click.get_current_context().exit(FAILED)


def _examine(url: str | None) -> Iterator[Finding]:
    """All findings. With invalid settings, that is the first one and most checks are skipped."""
    try:
        settings = settings_from(os.environ)
        mongo = connect(settings)
        client = redis_client(settings.redis_url or "", seconds=REDIS_SECONDS)
    except ConfigError as error:
        yield failed(
            "settings", str(error), "See docs/configuration.md for all settings and their values."
        )
        yield _service()
        for check in ("mongodb", "redis", "webhook"):
            yield skipped(check, "requires valid settings")
        yield check_disk(data_dir(os.environ).path)
        return
    yield _service()
    clock = SystemClock()
    try:
        examiner = Doctor(
            settings,
            Health(mongo),
            SnapshotStore(mongo),
            clock,
            migrations=migrations.names(),
            probe_redis=partial(
                probe_redis, client, Keyspace(Installation(mongo).name, clock), settings.transport
            ),
            probe_webhook=partial(
                probe_webhook,
                url or settings.canary_url or _local(settings),
                settings.meta_verify_token or "",
                settings.meta_app_secrets[0],
            ),
            explain=partial(explain, mongo=mongo),
            accounts=partial(
                account_findings,
                OddDocuments(mongo),
                AccountBacklog(mongo, TransactionRunner(mongo), clock),
            ),
            channels=known_channels(settings, mongo),
            probe_provider=partial(probe_provider, settings.oidc_issuer)
            if settings.oidc_issuer
            else None,
        )
        yield from examiner.examine()
    finally:
        client.close()
        mongo.close()


def _service() -> Finding:
    service, folder = running(os.environ), data_dir(os.environ).path
    if service:
        return passed(
            "service", f"running with {folder} (process {service.pid}, {service.base_url})"
        )
    return skipped("service", f"no dmstats is running with the data folder {folder}")


def _local(settings: Settings) -> str:
    service = running(os.environ)
    return (service and service.base_url) or base_url(settings)


def _print(findings: list[Finding]) -> None:
    table = Table("", "verdict", "finding and remedy", box=None)
    for finding in findings:
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(finding.check, Text(finding.verdict, style=STYLES[finding.verdict]), text)
    Console().print(table)
