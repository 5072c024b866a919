"""``completion``: what a shell needs to complete commands, options, runs and pods."""

from __future__ import annotations

import click

from moola_remote.cli.app import App

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_obj
def completion(app: App, shell: str) -> None:
    """Print the script that completes moola-remote in a shell.

    Put the example's line into ~/.bashrc (for zsh, into ~/.zshrc); for fish, write the script to
    ~/.config/fish/completions/moola-remote.fish.

    \b
    Example:
      eval "$(moola-remote completion bash)"
    """
    from click.shell_completion import get_completion_class

    del app
    program = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(program, {}, "moola-remote", "_MOOLA_REMOTE_COMPLETE").source())


COMMANDS = [completion]
