"""What ``--retry`` does: a run whose pod was taken away is resumed, or started from scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from moola_remote.cli.watch_run import is_of_the_pod
from moola_remote.errors import MoolaError, NoCheckpointError

if TYPE_CHECKING:
    from moola_remote.cli.app import App
    from moola_remote.runs.launch import RunRequest


def retrying(app: App, asked: RunRequest, begin: Callable[[RunRequest], None]) -> None:
    """Start a run and watch it; resume it while its pod is lost and a try is left.

    Args:
        app: the project and its pod.
        asked: how often, and what is done with the pod at the very end.
        begin: starts what is asked, and watches it.

    Raises:
        MoolaError: the last try did not succeed.
    """
    lost = _lost(begin, asked)
    while lost is not None:
        asked = replace(asked, retry=asked.retry - 1)
        err, run_id = lost
        click.echo(f"{err.message}; trying again, {asked.retry} more after this", err=True)
        lost = _lost(partial(_go_on, app, run_id), asked)


def _lost(begin: Callable[[RunRequest], None], asked: RunRequest) -> tuple[MoolaError, str] | None:
    """Return the run that lost its pod, and may be tried again; None once one has succeeded."""
    try:
        begin(asked)
    except MoolaError as err:
        if not asked.retry or err.run_id is None or not is_of_the_pod(err):
            raise
        return err, err.run_id
    return None


def _go_on(app: App, run_id: str, asked: RunRequest) -> None:
    """Resume from the last checkpoint, on the pod as it is now; without one start from scratch."""
    from moola_remote.cli.replay import run_again
    from moola_remote.cli.resume import resume_run

    app.pod.forget()
    try:
        resume_run(app, run_id, asked, detach=False)
    except NoCheckpointError as err:
        click.echo(f"{err.message}; starting from scratch", err=True)
        run_again(app, run_id, asked, detach=False, dry_run=False)
