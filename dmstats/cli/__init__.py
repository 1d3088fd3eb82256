"""The commands: ``dmstats COMMAND``, ``python -m dmstats COMMAND`` and ``flask COMMAND``.

Each command is imported on first use, because ``dmstats run`` needs neither Flask nor a database
client.
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
    "test-alert": "dmstats.cli.alert_command:test_alert",
    "refresh-stats": "dmstats.cli.refresh_commands:refresh_stats",
    "run-refresher": "dmstats.cli.refresh_commands:run_refresher",
    "create-admin": "dmstats.cli.admin_commands:create_admin",
    "reset-password": "dmstats.cli.admin_commands:reset_password",
    "reset-second-factor": "dmstats.cli.admin_commands:reset_second_factor",
    "forget-account": "dmstats.cli.forget_command:forget_account",
    "migrate": "dmstats.cli.migrate_command:migrate",
}
"""The location of each command, in the order of ``--help``."""

DEFAULT = "run"

EPILOG = """\b
Exit codes:
  0    done
  1    failed: a database is unreachable, drift was found, a check failed
  2    invalid arguments or settings, or no running service was found
  130  interrupted (Ctrl-C); `run` and `run-refresher` exit with 0
"""


class Commands(click.Group):
    """Loads the commands in :data:`COMMANDS`, except those in ``without``."""

    without: frozenset[str] = frozenset()

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return [name for name in COMMANDS if name not in self.without]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(cmd_name) if cmd_name in self.list_commands(ctx) else None


class Group(Commands):
    """Without a command it runs the service."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


class FlaskGroup(Commands):
    """The commands of the ``flask`` command."""

    without = frozenset({"run"})  # `flask run` is Flask's own development server


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
    """Count Instagram DMs exactly once and show live statistics. By default, run the service.

    Commands connect to the service that runs with the data folder (DMSTATS_DATA_DIR or ./var), or
    to the databases in MONGODB_URI and REDIS_URL.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(load(DEFAULT))


def load(name: str) -> click.Command:
    """The command of that name."""
    module, _, attribute = COMMANDS[name].partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    from dmstats.cli.command import plain_errors  # noqa: PLC0415  slow import; Ctrl-C works

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
    """Give ``app`` the commands, for the ``flask`` command."""
    app.cli = FlaskGroup(app.name)


def without_settings(error: ConfigError) -> Any:
    """The application for the ``flask`` command if the settings are invalid: it has only commands.

    Commands then report ``error`` themselves; ``doctor`` makes it a finding. Everything else
    (``flask run``, a WSGI server) needs valid settings: ``error`` is raised, as a click error if
    there is a command line.
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
