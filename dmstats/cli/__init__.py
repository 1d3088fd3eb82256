"""The ``flask`` commands."""

from __future__ import annotations

from flask import Flask

from dmstats.cli.admin_commands import create_admin
from dmstats.cli.audit_command import audit
from dmstats.cli.doctor_command import doctor
from dmstats.cli.refresh_commands import refresh_stats, run_refresher
from dmstats.cli.simulate_command import simulate

COMMANDS = (refresh_stats, run_refresher, create_admin, audit, doctor, simulate)


def register(app: Flask) -> None:
    """Add the commands to ``app``."""
    for command in COMMANDS:
        app.cli.add_command(command)
