"""Shared by all commands: access to the services, and error handling."""

from __future__ import annotations

import getpass
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import click

from dmstats.core.errors import ConfigError, DmstatsError, StoreUnavailable
from dmstats.core.exit_codes import FAILED, INTERRUPTED, USAGE

if TYPE_CHECKING:
    from flask import Flask

    from dmstats.db.admins.activity_log import ActivityLog, Event
    from dmstats.services import Services


class Failure(click.ClickException):
    """Ends the command with a one-line message and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance, too


class Command(click.Command):
    """A command that reports expected errors as one line with a documented exit code.

    On a terminal it logs only warnings and errors.
    """

    least_level = logging.WARNING

    def invoke(self, ctx: click.Context) -> Any:
        if sys.stderr.isatty():
            logging.getLogger().setLevel(self.least_level)
        with plain_errors():
            return super().invoke(ctx)


class ServiceCommand(Command):
    """A long-running command; it also logs at level info on a terminal."""

    least_level = logging.INFO


@contextmanager
def plain_errors() -> Iterator[None]:
    """Convert expected errors and Ctrl-C into one-line click errors."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\nInterrupted.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except click.Abort:  # click's own prompts turn Ctrl-C into this
        click.echo("Interrupted.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except ConfigError as error:
        raise Failure(str(error), USAGE) from error
    except DmstatsError as error:
        raise Failure(str(error)) from error


@contextmanager
def connected() -> Iterator[Services]:
    """The services of the application that ``flask`` loaded, or of a new application.

    Raises :class:`ConfigError`. A MongoDB error inside the context names the server and the reason.
    """
    from dmstats.db.outage import explain  # noqa: PLC0415  slow import

    app, ours = _application()
    services = cast("Services", app.extensions["dmstats"])
    try:
        with app.app_context():
            yield services
    except StoreUnavailable as error:
        raise StoreUnavailable(explain(error, services.mongo)) from error
    finally:
        if ours:
            services.disconnect()


def record(log: ActivityLog, event: Event, target: str = "", details: str = "") -> None:
    """Record a command in the activity log, with the user of the operating system."""
    from dmstats.db.admins.activity_log import Actor, ActorKind  # noqa: PLC0415  slow import

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    actor = Actor(ActorKind.COMMAND, user, socket.gethostname())
    log.add(event, actor, target, details)


def _application() -> tuple[Flask, bool]:
    """The application, and whether it was created for this command."""
    from flask.cli import ScriptInfo  # noqa: PLC0415

    from dmstats.app import create_app, settings_from  # noqa: PLC0415

    info = click.get_current_context().find_object(ScriptInfo)
    if info is not None:
        app = info.load_app()
        if "dmstats" in app.extensions:
            return app, False
    return create_app(settings_from(os.environ)), True
