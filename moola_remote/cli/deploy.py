"""``deploy``: everything that a job needs is on the pod."""

from __future__ import annotations

from pathlib import Path

import click

from moola_remote.cli.options import data_option, dry_run_option
from moola_remote.session import Session


@click.command()
@data_option
@dry_run_option
@click.pass_obj
def deploy(session: Session, data: dict[str, Path], dry_run: bool) -> None:
    """Send code and data, make the environment, and say what is on the pod.

    Only what the pod does not have is sent. Code is git's own list of files; secrets and
    results stay here.

    \b
    Example:
      moola-remote deploy
    """
    from moola_remote.cli.output import make_plan, print_components, print_plan, show_deploy

    plan = make_plan(session, data, is_all=session.is_verbose or dry_run)
    if dry_run:
        print_plan(session, plan)
    else:
        print_components(session, show_deploy(session, plan))


COMMANDS = [deploy]
