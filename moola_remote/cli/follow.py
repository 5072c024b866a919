"""What `train`, `run` and `attach` share: start a run, show it while it lasts, end as it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from moola_remote.errors import JobCancelledError, JobFailedError, MoolaError, RunLostError
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.runs import RunState


def start(
    session: Session,
    argv: Sequence[str],
    *,
    label: str,
    detach: bool = False,
    dry_run: bool = False,
    **asked: Any,
) -> None:
    """Deploy what changed, start `argv` as a run, and follow it unless `detach`.

    Args:
        session: the project and its pod.
        argv: the command, run in the code snapshot.
        label: a word for the run's id.
        detach: print the id and return.
        dry_run: only show what would be done.
        asked: more of the spec: ``recipe``, ``gpu``.
    """
    from moola_remote.cli.output import print_plan, show_deploy
    from moola_remote.deploy import make_plan
    from moola_remote.runs import submit
    from moola_remote.specs import make_spec, new_run_id

    plan = make_plan(session)
    if dry_run:
        print_plan(session, plan, argv)
        return
    deployed = show_deploy(session, plan)
    spec = make_spec(new_run_id(label), argv, trees=deployed.trees, source=plan.source, **asked)
    state = submit(session.agent, spec).state
    if detach:
        _answer(session, state)
        return
    click.echo(f"run {state.run_id} started; Ctrl-C leaves it running", err=True)
    watch(session, state.run_id, gpu=deployed.gpu)


def _answer(session: Session, state: RunState) -> None:
    if session.as_json:
        session.answer(state.model_dump(mode="json"))
    else:
        click.echo(state.run_id)
        click.echo(_hints(session, state.run_id), err=True)


def watch(session: Session, run_id: str, *, gpu: str = "") -> None:
    """Show a run from its beginning to its end; Ctrl-C ends the showing alone.

    Raises:
        MoolaError: the run did not succeed; its exit code says how it ended.
    """
    from moola_remote.dashboard import Dashboard
    from moola_remote.follow import Listener, follow
    from moola_remote.runview import RunView

    view = RunView(session.pod.name, run_id, gpu, session.endpoint.price_per_hour)
    try:
        with session.journal(run_id) as journal, Dashboard(view, as_json=session.as_json) as shown:
            listener = Listener(
                on_log=shown.on_log,
                on_event=shown.on_event,
                on_state=shown.on_state,
                on_notice=lambda notice: shown.on_link(notice.text),
            )
            state = follow(session.link(), run_id, journal, listener, replay=True)
    except KeyboardInterrupt:
        click.echo(f"\nrun {run_id} goes on without you\n{_hints(session, run_id)}", err=True)
        click.get_current_context().exit(130)
    conclude(session, state)


def conclude(session: Session, state: RunState) -> None:
    """Say what to do next; nothing for a run that succeeded but where its results are.

    Raises:
        MoolaError: the run did not succeed.
    """
    command = _command(session)
    if state.state == "SUCCEEDED":
        click.echo(f"run {state.run_id} succeeded; next: {command} fetch results", err=True)
        return
    raise _ending(state, f"{command} logs {state.run_id}")


def _ending(state: RunState, cure: str) -> MoolaError:
    if state.state in ("CANCELLED", "PREEMPTED"):
        return JobCancelledError(f"run {state.run_id}: {state.state.lower()}, {state.reason}")
    if state.state == "LOST":
        return RunLostError(f"run {state.run_id}: lost, {state.reason}", cure)
    lines = "".join(f"\n  | {line}" for line in state.last_lines)
    return JobFailedError(f"run {state.run_id}: failed, {state.reason}{lines}", cure)


def _hints(session: Session, run_id: str) -> str:
    command = _command(session)
    return f"  watch it:  {command} attach {run_id}\n  end it:    {command} cancel {run_id}"


def _command(session: Session) -> str:
    is_default = session.pod.name == session.project.pod
    return "moola-remote" if is_default else f"moola-remote --pod {session.pod.name}"
