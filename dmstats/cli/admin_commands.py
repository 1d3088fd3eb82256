"""``create-admin`` and ``reset-password``."""

from __future__ import annotations

import sys

import click

from dmstats.cli.command import Command, connected


@click.command(cls=Command, short_help="Create an admin.")
@click.argument("email")
def create_admin(email: str) -> None:
    """Create an admin. The password is prompted for or read from standard input."""
    with connected() as services:
        services.admins.create(email, _password())
    click.echo(f"{email} can sign in now.")


@click.command(cls=Command, short_help="Set a new password for an admin.")
@click.argument("email")
def reset_password(email: str) -> None:
    """Set a new password for an admin. It is prompted for or read from standard input.

    This signs the admin out of all open sessions.
    """
    with connected() as services:
        admin = services.admins.find(email)
        services.admins.change_password(admin.id, _password())
    click.echo(f"{admin.email} has a new password.")
    if admin.disabled:
        click.echo("This admin is disabled. Another admin must enable the account.", err=True)


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
