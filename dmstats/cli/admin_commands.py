"""``flask create-admin``."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from dmstats.cli.command import Command
from dmstats.web import services


@click.command(cls=Command)
@click.argument("email")
@with_appcontext
def create_admin(email: str) -> None:
    """Create an admin; the password is asked for, or read from standard input."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    services().admins.create(email, password)
    click.echo(f"{email} can sign in now.")
