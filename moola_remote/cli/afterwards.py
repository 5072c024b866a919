"""What ``--then`` does when a run is over: bring its files home, verify, stop what is paid for."""

from __future__ import annotations

from functools import partial

import click

from moola_remote.cli.loss import refuse_loss
from moola_remote.session import Session

then_option = click.option(
    "--then",
    type=click.Choice(["stop", "down"]),
    help="When it has ended, however it did: fetch, verify, and stop or remove the pod.",
)


def finish(session: Session, run_id: str, verb: str) -> None:
    """Fetch a run that is over, and stop the pod or remove it; each step can be repeated.

    Raises:
        LimitError: another run on the pod goes on, or has no verified copy here.
        MoolaError: a step failed; the pod, and its price, go on.
    """
    from moola_remote.cli.output import Progression, print_fetched
    from moola_remote.fetch import fetch_run
    from moola_remote.results import make_folder

    folder = make_folder(session.project.results_folder)
    try:
        with Progression() as progression:
            fetched = fetch_run(
                session.transport,
                session.agent,
                run_id,
                folder,
                what="all",
                progress=partial(progression.update, "all"),
            )
        print_fetched(session, fetched)
        refuse_loss(session, verb)
        session.close()
        if verb == "stop":
            session.provider.stop()
        else:
            session.provider.down(remove_data=True)
    except BaseException:
        click.echo(
            f"pod {session.pod.name} goes on, and so does its price; "
            f"again: {session.command} attach {run_id} --then {verb}",
            err=True,
        )
        raise
    click.echo(f"pod {session.pod.name}: {'stopped' if verb == 'stop' else 'removed'}", err=True)
