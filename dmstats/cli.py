"""The ``flask`` commands."""

from __future__ import annotations

from flask import Flask

from dmstats.commands.admins import create_admin
from dmstats.commands.audit import audit
from dmstats.commands.doctor import doctor
from dmstats.commands.refresh import refresh_stats, run_refresher
from dmstats.commands.simulate import simulate

COMMANDS = (refresh_stats, run_refresher, create_admin, audit, doctor, simulate)


def register(app: Flask) -> None:
    """Add the commands to ``app``."""
    for command in COMMANDS:
        app.cli.add_command(command)
