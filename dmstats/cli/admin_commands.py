"""``create-admin`` and ``reset-password``."""

from __future__ import annotations

import sys

import click

from dmstats.cli.command import Command, connected


@click.command(cls=Command, short_help="Add an admin who may sign in.")
@click.argument("email")
def create_admin(email: str) -> None:
    """Create an admin; the password is asked for, or read from standard input."""
    with connected() as services:
        services.admins.create(email, _password())
    click.echo(f"{email} can sign in now.")


@click.command(cls=Command, short_help="Set an admin's password, as when it was lost.")
@click.argument("email")
def reset_password(email: str) -> None:
    """Set an admin's password; it is asked for, or read from standard input.

    That admin's open sessions end.
    """
    with connected() as services:
        admin = services.admins.find(email)
        services.admins.change_password(admin.id, _password())
    click.echo(f"{admin.email} has a new password.")
    if admin.disabled:
        click.echo("This admin is disabled: another one has to enable the account first.", err=True)


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
