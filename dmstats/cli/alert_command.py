"""``test-alert``."""

from __future__ import annotations

import os

import click

from dmstats.app import settings_from
from dmstats.cli.command import Command, Failure
from dmstats.core.clock import SystemClock
from dmstats.core.exit_codes import USAGE
from dmstats.ops.alerts import send_test
from dmstats.ops.notifier import channels_of


@click.command(cls=Command, short_help="Send a test alert to every address in DMSTATS_ALERT_URL.")
def test_alert() -> None:
    """Send a test alert to every address in DMSTATS_ALERT_URL; exit 1 if one failed."""
    settings = settings_from(os.environ)
    channels = channels_of(settings.alert_urls, settings.secret_key or "")
    if not channels:
        raise Failure("DMSTATS_ALERT_URL is not set: incidents are only logged.", USAGE)
    failed = 0
    for channel, outcome in send_test(channels, SystemClock().now_ms()):
        failed += not outcome.told
        click.echo(f"{channel.label}: {'sent' if outcome.told else outcome.problem}")
    if failed:
        raise Failure(f"{failed} of {len(channels)} alerts could not be sent.")
