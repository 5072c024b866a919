"""``fetch``: bring results home, verified."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.options import run_argument
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.fetch import What


@click.command()
@click.argument("what", type=click.Choice(["results", "logs", "checkpoints", "all"]))
@run_argument
@click.option(
    "--watch",
    "is_watching",
    is_flag=True,
    help="Bring each checkpoint when it is complete, then WHAT when the run has ended.",
)
@open_option
@click.pass_obj
def fetch(
    session: Session, what: What, run_id: str | None, is_watching: bool, is_opening: bool
) -> None:
    """Fetch a run's files into results/RUN, verified against the pod's manifest.

    RUN is a run's id or the beginning of one; the latest by default. An interrupted fetch
    goes on where it stopped. With the results comes report.html, a page to look at them.

    \b
    Example:
      moola-remote fetch results
    """
    from moola_remote.bridge import local_version
    from moola_remote.cli.output import Progression, print_fetched
    from moola_remote.cli.watch import watch
    from moola_remote.fetch import fetch_run
    from moola_remote.results import make_folder
    from moola_remote.rsync import known_holes

    folder = make_folder(session.project.results_folder)
    chosen = session.find_run(run_id)
    holes = known_holes(local_version())
    if holes:
        click.echo(f"note: {holes}", err=True)
    if is_watching and not chosen.has_ended:
        watch(session, chosen.run_id, folder)
    with Progression() as progression:
        fetched = fetch_run(
            session.transport,
            session.agent,
            chosen.run_id,
            folder,
            what=what,
            progress=partial(progression.update, what),
        )
    page = print_fetched(session, fetched, has_page=what != "checkpoints")
    if is_opening and page:
        open_page(page)


COMMANDS = [fetch]
