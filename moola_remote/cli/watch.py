"""What ``fetch --watch`` does until the run has ended."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from moola_remote.cli.app import App


def watch(app: App, run_id: str, results: Path) -> None:
    """Follow a run to its end and bring each checkpoint when it is complete.

    What arrives of the log and the events goes to the journal, as with `attach`.

    Raises:
        MoolaError: the run is unknown, a checkpoint differs from what is here, or there is no room.
    """
    from moola_remote.follow.follower import Listener, follow
    from moola_remote.follow.reconnect import Link
    from moola_remote.results.checkpoints import Mirror

    mirror = Mirror(app.pod.reach, run_id, results, lambda name: _say(results / run_id / name))
    listener = Listener(
        on_event=mirror.on_event,
        on_state=lambda _: mirror.look(),
        on_notice=lambda notice: click.echo(notice.text, err=True),
    )
    try:
        with contextlib.closing(mirror), app.journal(run_id) as journal:
            state = follow(Link(app.pod.agent, app.pod.reconnect), run_id, journal, listener)
    except KeyboardInterrupt:
        click.echo(f"\nrun {run_id} keeps running; what has arrived stays here", err=True)
        raise
    click.echo(f"run {run_id}: {state.state}", err=True)


def _say(path: Path) -> None:
    from moola_remote.text.format import amount

    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    click.echo(f"verified: {path}, {amount(size)}", err=True)
