"""What ``--retry`` does: a run whose pod was taken away goes on, or is begun anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from moola_remote.cli.then import finish
from moola_remote.cli.watch_run import watch
from moola_remote.errors import (
    MoolaError,
    NoCheckpointError,
    PodGoneError,
    PreemptedError,
    RunLostError,
)

if TYPE_CHECKING:
    from moola_remote.cli.app import App
    from moola_remote.runs.launch import RunRequest


def watch_and_retry(app: App, run_id: str, asked: RunRequest, *, gpu: str = "") -> None:
    """Watch a run to its end, and have it go on while its pod is lost and a try is left.

    Args:
        app: the project and its pod.
        run_id: a whole run id.
        asked: how often, and what is done with the pod at the very end.
        gpu: the pod's, in words.

    Raises:
        MoolaError: the last try did not succeed.
    """
    try:
        watch(app, run_id, gpu=gpu)
    except MoolaError as err:
        if not _is_of_the_pod(err):
            if asked.then:
                finish(app, run_id, asked.then)
            raise
        left = asked.retry - 1
        click.echo(f"{err.message}; trying again, {left} more after this", err=True)
        _again(app, run_id, replace(asked, retry=left))
    else:
        if asked.then:
            finish(app, run_id, asked.then)


def _is_of_the_pod(err: MoolaError) -> bool:
    """Whether it was the pod that ended, and not the job."""
    return isinstance(err, PreemptedError | RunLostError) or isinstance(err.__cause__, PodGoneError)


def _again(app: App, run_id: str, asked: RunRequest) -> None:
    """Go on from the last checkpoint, on the pod as it is now; without one begin anew."""
    from moola_remote.cli.replay import run_again
    from moola_remote.cli.resume import go_on

    app.pod.forget()
    try:
        go_on(app, run_id, asked, detach=False)
    except NoCheckpointError as err:
        click.echo(f"{err.message}; it is begun anew", err=True)
        run_again(app, run_id, asked, detach=False, dry_run=False)
