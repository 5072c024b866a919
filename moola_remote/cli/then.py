"""What ``--then`` does when a run is over: bring its files home, verify, stop what is paid for."""

from __future__ import annotations

from functools import partial

import click

from moola_remote.cli.app import App
from moola_remote.cli.safety import require_verified_copies

then_option = click.option(
    "--then",
    type=click.Choice(["stop", "down"]),
    help="When the run has ended, however it ended: fetch, verify, then stop or remove the pod.",
)


def finish(app: App, run_id: str, verb: str) -> None:
    """Fetch a run that is over, and stop the pod or remove it; each step can be repeated.

    A connection that is lost meanwhile is made again: nobody may be there to type it once more.

    Raises:
        LimitError: another run on the pod is active, or has no verified copy here.
        MoolaError: a step failed; the pod is still running and still billed.
    """
    try:
        app.persist(partial(_bring_home, app, run_id, verb))
        app.pod.close()
        if verb == "stop":
            app.pod.provider.stop()
        else:
            app.pod.provider.down(remove_data=True)
    except BaseException:
        click.echo(
            f"pod {app.pod.name} is still running and still billed; "
            f"again: {app.pod.command} attach {run_id} --then {verb}",
            err=True,
        )
        raise
    click.echo(f"pod {app.pod.name}: {'stopped' if verb == 'stop' else 'removed'}", err=True)


def _bring_home(app: App, run_id: str, verb: str) -> None:
    """Fetch a run; raise where it or another would be lost with the pod."""
    from moola_remote.cli.fetch import print_fetched, require_whole
    from moola_remote.results.fetch import fetch_run
    from moola_remote.results.folder import make_folder
    from moola_remote.ui.progress import Progression

    folder = make_folder(app.project.results_folder)
    with Progression() as progression:
        fetched = fetch_run(
            app.pod.transport,
            app.pod.agent,
            run_id,
            folder,
            what="all",
            progress=partial(progression.update, "all"),
        )
    print_fetched(app, fetched)
    require_whole(fetched)
    require_verified_copies(app, verb)
