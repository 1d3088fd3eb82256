"""``test-alert``."""

from __future__ import annotations

import os
from contextlib import closing

import click

from dmstats.app import settings_from
from dmstats.cli.command import Command, Failure
from dmstats.core.clock import SystemClock
from dmstats.core.exit_codes import USAGE
from dmstats.db.client import connect
from dmstats.ops.alerts import send_test
from dmstats.ops.channels import known_channels


@click.command(cls=Command, short_help="Send a test alert to every channel.")
def test_alert() -> None:
    """Send a test alert to every address in DMSTATS_ALERT_URL and every channel created on the
    page; exit 1 if one failed."""
    settings = settings_from(os.environ)
    with closing(connect(settings)) as mongo:
        known = known_channels(settings, mongo)
        channels = known.current()
    if not channels and known.is_complete:
        raise Failure(
            "There is no channel in DMSTATS_ALERT_URL or on the page: incidents are only logged.",
            USAGE,
        )
    failed = 0
    for channel, outcome in send_test(channels, SystemClock().now_ms()):
        failed += not outcome.told
        click.echo(f"{channel.label}: {'sent' if outcome.told else outcome.problem}")
    if not known.is_complete:
        raise Failure("MongoDB does not answer: channels created on the page were not tested.")
    if failed:
        raise Failure(f"{failed} of {len(channels)} alerts could not be sent.")
