"""What all commands share."""

from __future__ import annotations

from typing import Any

import click

from dmstats.core.errors import DmstatsError


class Command(click.Command):
    """A command whose expected errors are one clear line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DmstatsError as error:
            raise click.ClickException(str(error)) from error
