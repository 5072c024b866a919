"""A group of commands, whose errors name the command that they came of."""

from __future__ import annotations

from typing import Any

import click

from moola_remote.errors import USAGE


class Group(click.Group):
    """Gives an error of usage its command: click forgets that of an option without its value."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as err:
            command = self.commands.get(ctx.invoked_subcommand or "")
            if err.ctx is None and command is not None:
                err.ctx = click.Context(command, ctx, ctx.invoked_subcommand)
            raise


def show_help(ctx: click.Context) -> None:
    """Show what there is to a user who named no command, and end."""
    click.echo(ctx.get_help(), err=True)
    ctx.exit(USAGE)
