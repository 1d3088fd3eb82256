"""The commands: ``dmstats COMMAND``, ``python -m dmstats COMMAND`` and ``flask COMMAND``.

Each is imported when it is needed: ``dmstats run`` needs neither Flask nor a database client.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from dmstats import __version__
from dmstats.core.errors import ConfigError
from dmstats.core.exit_codes import USAGE

COMMANDS = {
    "run": "dmstats.cli.run_command:run",
    "simulate": "dmstats.cli.simulate_command:simulate",
    "audit": "dmstats.cli.audit_command:audit",
    "doctor": "dmstats.cli.doctor_command:doctor",
    "refresh-stats": "dmstats.cli.refresh_commands:refresh_stats",
    "run-refresher": "dmstats.cli.refresh_commands:run_refresher",
    "create-admin": "dmstats.cli.admin_commands:create_admin",
    "reset-password": "dmstats.cli.admin_commands:reset_password",
    "migrate": "dmstats.cli.migrate_command:migrate",
}
"""Where each command is, in the order of ``--help``."""

DEFAULT = "run"
NOT_FOR_FLASK = frozenset({"run"})  # `flask run` is Flask's own development server

EPILOG = """\b
Exit codes:
  0    done
  1    failed: a database is away, drift was found, a check failed
  2    wrong arguments or settings, or no running service was found
  130  interrupted (Ctrl-C); `run` and `run-refresher` end with 0 then
"""


class Group(click.Group):
    """Finds the commands of :data:`COMMANDS`; without one it runs the service."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    "dmstats",
    cls=Group,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="dmstats %(version)s")
@click.pass_context
def dmstats(ctx: click.Context) -> None:
    """Count Instagram DMs exactly once, and show them live. Without a command: run the service.

    Commands use the service that runs on the data folder (DMSTATS_DATA_DIR, else ./var), or the
    databases that MONGODB_URI and REDIS_URL name.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(load(DEFAULT))


def load(name: str) -> click.Command:
    """The command of that name."""
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    from dmstats.cli.command import plain_errors  # noqa: PLC0415  Ctrl-C while it is imported

    try:
        with plain_errors():
            result = dmstats.main(arguments, prog_name="dmstats", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as end:
        return end.exit_code
    return result if isinstance(result, int) else 0


def console() -> None:
    """The console script."""
    sys.exit(main())


def register(app: Any) -> None:
    """Add the commands to ``app``, for the ``flask`` command."""
    for name in COMMANDS:
        if name not in NOT_FOR_FLASK:
            app.cli.add_command(load(name))


def without_settings(error: ConfigError) -> Any:
    """What the application factory answers with inside the ``flask`` command, when it cannot
    build the application: one that has the commands alone.

    A command then reports ``error`` itself, or, as ``doctor`` does, examines it. Everything else
    (``flask run``, a WSGI server) cannot go on without settings: raises ``error``, as click
    shows it where there is a command line.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        raise error
    if not isinstance(context.command, click.Group):
        from dmstats.cli.command import Failure  # noqa: PLC0415

        raise Failure(str(error), USAGE) from error
    from flask import Flask  # noqa: PLC0415

    app = Flask("dmstats", static_folder=None)
    register(app)
    return app
