"""``create-admin``, ``reset-password`` and ``reset-second-factor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from dmstats.cli.command import Command, connected, record
from dmstats.cli.urls import BaseUrl
from dmstats.db.admins.activity_log import Event
from dmstats.db.admins.roles import Role

if TYPE_CHECKING:
    from dmstats.db.admins.admin import Admin
    from dmstats.db.admins.password_link import Link
    from dmstats.services import Services

with_link = click.option(
    "--link", is_flag=True, help="Create a link with which the person chooses a password."
)
with_url = click.option(
    "--url", type=BaseUrl(), help="Base URL of the link; default: DMSTATS_PUBLIC_URL."
)


@click.command(cls=Command, short_help="Create an admin, operator or viewer.")
@click.argument("email")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.ADMIN.value,
    show_default=True,
    help="Viewers see the figures, operators can also refresh them, admins can also manage people.",
)  # fmt: skip
@with_link
@with_url
def create_admin(email: str, role: str, link: bool, url: str | None) -> None:  # noqa: FBT001 - click's
    """Create a person who can sign in.

    The command asks for the password, or reads it from standard input. With --link, the person
    chooses it; the link is mailed if DMSTATS_SMTP_URL is set, and printed otherwise.
    """
    with connected() as services:
        if link:
            invited, made = services.admins.invite(email, Role(role))
            record(services.activity_log, Event.PERSON_INVITED, invited.email, role)
            _deliver(services, invited, made, url)
            return
        created = services.admins.create(email, _password(), Role(role))
        record(services.activity_log, Event.PERSON_ADDED, created.email, role)
    click.echo(f"{email} can sign in now.")


@click.command(cls=Command, short_help="Set a new password for a person.")
@click.argument("email")
@with_link
@with_url
def reset_password(email: str, link: bool, url: str | None) -> None:  # noqa: FBT001 - click's
    """Set a person's password and end their sessions.

    The command asks for the password, or reads it from standard input. With --link, the person
    chooses it, and nothing changes until then; the link is mailed if DMSTATS_SMTP_URL is set, and
    printed otherwise.
    """
    with connected() as services:
        admin = services.admins.find(email)
        if link:
            admin, made = services.admins.make_link(admin.id)
            record(services.activity_log, Event.LINK_MADE, admin.email)
            _deliver(services, admin, made, url)
            return
        services.admins.change_password(admin.id, _password())
        record(services.activity_log, Event.PASSWORD_CHANGED, admin.email)
    click.echo(f"{admin.email} has a new password.")
    if admin.disabled:
        click.echo("This account is disabled. An admin must enable it.", err=True)


@click.command(cls=Command, short_help="Remove a person's second factor.")
@click.argument("email")
def reset_second_factor(email: str) -> None:
    """Let a person sign in with the password only, for example after they lost a phone.

    This also removes their passkeys and ends their open sessions.
    """
    with connected() as services:
        admin = services.admins.find(email)
        services.second_factors.remove(admin.id)
        services.passkeys.remove_all(admin.id)
        services.admins.sign_out_everywhere(admin.id)
        record(services.activity_log, Event.SECOND_FACTOR_REMOVED, admin.email)
    click.echo(f"{admin.email} can sign in with the password only.")


def _deliver(services: Services, admin: Admin, link: Link, url: str | None) -> None:
    from dmstats.web.auth.password_links import deliver  # noqa: PLC0415  not before it is needed

    settings = services.settings
    base = url or settings.public_url or f"http://localhost:{settings.port}"
    delivery = deliver(admin, link, base, services.mailer)
    if delivery.problem:
        click.echo(delivery.problem, err=True)
    if delivery.mailed:
        click.echo(f"A link was mailed to {admin.email}; it works once, until {link.ends_at}.")
    else:
        click.echo(f"Give this link to {admin.email}; it works once, until {link.ends_at}:")
        click.echo(delivery.link)


def _password() -> str:
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return typed
    return sys.stdin.readline().rstrip("\r\n")
