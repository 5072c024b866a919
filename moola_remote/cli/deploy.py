"""``deploy``: everything that a job needs is on the pod."""

from __future__ import annotations

import click

from moola_remote.session import Session


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.pass_obj
def deploy(session: Session, dry_run: bool) -> None:
    """Send code and data, make the environment, and say what is on the pod.

    Only what the pod does not have is sent. Code is git's own list of files; secrets and
    results stay here.

    \b
    Example:
      moola-remote deploy
    """
    from moola_remote.cli.output import print_components, print_plan, show_deploy
    from moola_remote.deploy import make_plan

    plan = make_plan(session)
    if dry_run:
        print_plan(session, plan)
    else:
        print_components(session, show_deploy(session, plan))


COMMANDS = [deploy]
