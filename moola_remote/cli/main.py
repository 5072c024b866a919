"""The group of all commands, and the options that they share."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from moola_remote import __version__
from moola_remote.cli import (
    clean,
    completion,
    cost,
    deploy,
    doctor,
    export,
    fetch,
    forward,
    init,
    pods,
    predict,
    report,
    runs,
    sweep,
    train,
)
from moola_remote.cli.app import App
from moola_remote.cli.complete import pod_names
from moola_remote.cli.group import Group, show_help
from moola_remote.errors import BROKEN_PIPE, UnknownRunError


class Program(Group):
    """Says of an unknown run where it is; ends quietly when stdout was closed, as by ``| head``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except UnknownRunError as err:
            raise type(err)(err.message, ctx.obj.where_to_look(err.name)) from err
        except BrokenPipeError:
            # Python flushes stdout once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.option(
    "--pod",
    metavar="NAME",
    envvar="MOOLA_POD",
    shell_complete=pod_names,
    help="The pod: a file in configs/pods; default: the project's.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON lines on stdout.")
@click.option(
    "-v", "--verbose", is_flag=True, help="Log each step, and how long it takes, to stderr."
)
@click.version_option(__version__, prog_name="moola-remote")
@click.pass_context
def program(ctx: click.Context, pod: str | None, as_json: bool, verbose: bool) -> None:
    """Train on a rented GPU without losing a run, a log line or money.

    \b
    Example:
      moola-remote deploy
      moola-remote train --epochs 40
      moola-remote fetch results
    """
    if ctx.invoked_subcommand is None:
        show_help(ctx)
    if verbose:
        _log_to_stderr()
    ctx.obj = app = App(pod_name=pod, as_json=as_json, is_verbose=verbose)
    ctx.with_resource(app.pod)


def _log_to_stderr() -> None:
    """Show only our own lines: paramiko logs far more than a user needs."""
    import logging

    from moola_remote.text.redact import strike

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return strike(super().format(record))

    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(relativeCreated)6.0f ms  %(message)s"))
    ours = logging.getLogger("moola_remote")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)


for module in (
    *(init, deploy, train, runs, fetch, report, export, pods, forward, clean, cost, doctor),
    *(sweep, predict, completion),
):
    for command in module.COMMANDS:
        program.add_command(command)
