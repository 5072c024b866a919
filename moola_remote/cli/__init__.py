"""The command line: one module a group of commands; a command parses, calls one function, prints.

Only click is imported at start; what a command needs is imported when it runs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from moola_remote import __version__
from moola_remote.cli import deploy, doctor, fetch, pods, runs, train
from moola_remote.errors import MoolaError
from moola_remote.session import Session


class RemoteGroup(click.Group):
    """Turns every error into one line on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except MoolaError as err:
            _tell(err.message, err.cure)
            ctx.exit(err.exit_code)
        except KeyboardInterrupt:
            _tell("interrupted", "")
            ctx.exit(130)


def _tell(message: str, cure: str) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    if cure:
        click.echo(f"  try: {cure}", err=True)


@click.group(cls=RemoteGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--pod",
    metavar="NAME",
    envvar="MOOLA_POD",
    help="A file of configs/pods; default: the project's.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON lines on stdout.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Say on stderr what is done and how long it takes."
)
@click.version_option(__version__, prog_name="moola-remote")
@click.pass_context
def main(ctx: click.Context, pod: str | None, as_json: bool, verbose: bool) -> None:
    """Train on a rented GPU without losing a run, a log line or money.

    \b
    Example:
      moola-remote deploy
      moola-remote train --epochs 40
      moola-remote fetch results
    """
    if verbose:
        import logging

        logging.basicConfig(
            stream=sys.stderr, level=logging.INFO, format="%(relativeCreated)6.0f ms  %(message)s"
        )
    ctx.obj = Session(pod_name=pod, as_json=as_json)
    ctx.call_on_close(ctx.obj.close)


for module in (deploy, train, runs, fetch, pods, doctor):
    for command in module.COMMANDS:
        main.add_command(command)
