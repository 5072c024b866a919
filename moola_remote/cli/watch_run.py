"""Watch a run until it ends, and report its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.then import finish
from moola_remote.errors import (
    INTERRUPTED,
    JobCancelledError,
    JobFailedError,
    MoolaError,
    PodGoneError,
    PreemptedError,
    RunLostError,
    UnreachableError,
)

if TYPE_CHECKING:
    from moola_remote.protocol.state import RunState


def watch(app: App, run_id: str, *, gpu: str = "", then: str | None = None) -> None:
    """Show a run from its beginning to its end; Ctrl-C ends the showing alone.

    Args:
        app: the project and its pod.
        run_id: a whole run id.
        gpu: the pod's, in words.
        then: what to do with the pod once the run has ended, however it did.

    Raises:
        MoolaError: the run did not succeed; its exit code says how it ended.
    """
    from moola_remote.follow.catch_up import CatchUp
    from moola_remote.follow.follower import Listener, follow
    from moola_remote.follow.reconnect import Link
    from moola_remote.follow.view import RunView
    from moola_remote.runs.local_state import notes_of
    from moola_remote.ui.dashboard import Dashboard

    view = RunView(app.pod.name, run_id, gpu, app.pod.endpoint.price_per_hour)
    try:
        with app.journal(run_id) as journal, Dashboard(view, as_json=app.as_json) as shown:
            listener = Listener(
                on_log=shown.on_log,
                on_event=shown.on_event,
                on_state=shown.on_state,
                on_notice=lambda notice: shown.on_link(notice.text),
            )
            listener = CatchUp(notes_of(app.pod, run_id), shown.on_away).beside(listener)
            link = Link(app.pod.agent, app.pod.reconnect)
            state = follow(link, run_id, journal, listener, replay=True)
    except KeyboardInterrupt:
        leave(app, run_id)
    except PodGoneError as err:
        raise _without_pod(app, run_id, err) from err
    else:
        try:
            conclude(app, state, is_log_shown=not app.as_json)
        finally:
            if then:
                finish(app, run_id, then)


def _without_pod(app: App, run_id: str, err: PodGoneError) -> MoolaError:
    if err.is_removed:
        message = f"run {run_id}: lost, {err.message} any more"
        return RunLostError(
            message, f"start it again with: {app.pod.command} train --replay {run_id}"
        )
    message = f"run {run_id}: how it ended is on the volume, {err.message}"
    return UnreachableError(
        message, f"{app.pod.command} up; then: {app.pod.command} attach {run_id}"
    )


def is_of_the_pod(err: MoolaError) -> bool:
    """Return whether it was the pod that ended, and not the job."""
    return isinstance(err, PreemptedError | RunLostError) or is_pod_gone(err)


def is_pod_gone(err: MoolaError) -> bool:
    """Return whether there is no pod left to be asked, fetched from or stopped."""
    return isinstance(err.__cause__, PodGoneError)


def leave(app: App, run_id: str) -> None:
    """Say after Ctrl-C that the run keeps running, and how to return to it."""
    click.echo(f"\nrun {run_id} keeps running on the pod\n{hints(app, run_id)}", err=True)
    click.get_current_context().exit(INTERRUPTED)


def conclude(app: App, state: RunState, *, is_log_shown: bool = False) -> None:
    """Say what to do next, or what the log's end says of the failure.

    Args:
        app: the project and its pod.
        state: how the run ended.
        is_log_shown: the log's end stands above already.

    Raises:
        MoolaError: the run did not succeed.
    """
    app.finish([state])
    _report_use(state)
    if state.state == "SUCCEEDED":
        click.echo(f"run {state.run_id} succeeded", err=True)
        click.echo(f"  fetch it:  {app.pod.command} fetch results {state.run_id}", err=True)
        return
    if not is_log_shown:
        for line in state.last_lines[:-1]:
            click.echo(f"  | {line}", err=True)
    raise _ending(app, state)


def _report_use(state: RunState) -> None:
    if state.idle:
        what = "CPU" if state.gpu is None else "GPU"
        share, _, cost = state.idle.partition(" ")
        cost = f", {cost} for nothing" if cost else ""
        click.echo(f"  the {what} was idle {share} of the time{cost}", err=True)
    if state.on_finish:
        click.echo(f"  on_finish on the pod: exit code {state.on_finish}", err=True)


def _ending(app: App, state: RunState) -> MoolaError:
    where = f"run {state.run_id}"
    if state.state == "CANCELLED":
        return JobCancelledError(f"{where}: {state.reason or 'cancelled'}")
    if state.state == "PREEMPTED":
        cure = f"resume with: {app.pod.command} resume {state.run_id}"
        return PreemptedError(f"{where}: preempted, {state.reason}", cure)
    logs = f"{app.pod.command} logs {state.run_id}"
    if state.state == "LOST":
        return RunLostError(f"{where}: lost, {state.reason}", logs)
    last = f": {state.last_lines[-1]}" if state.last_lines else ""
    return JobFailedError(f"{where}: failed, {state.reason}{last}", logs)


def hints(app: App, run_id: str) -> str:
    """Return how to watch and how to end a run."""
    command = app.pod.command
    return f"  watch it:  {command} attach {run_id}\n  end it:    {command} cancel {run_id}"
