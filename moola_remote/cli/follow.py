"""What `train`, `run` and `attach` share: start a run, show it while it lasts, end as it ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moola_remote.cli.afterwards import finish
from moola_remote.errors import (
    INTERRUPTED,
    ConfigError,
    JobCancelledError,
    JobFailedError,
    MoolaError,
    PodGoneError,
    RunLostError,
    UnreachableError,
)
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.deploy import Deployed
    from moola_remote.runs import RunState


@dataclass(frozen=True)
class Asked:
    """What is asked of a run beside its command.

    `label` is a word for its id; `on_finish` and `on_finish_pod` are commands for its end, here and
    on the pod: None takes the project's.
    """

    label: str
    recipe: str | None = None
    gpu: int | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_time_s: float | None = None
    max_cost_usd: float | None = None
    then: str | None = None
    replay_of: str | None = None
    on_finish: str | None = None
    on_finish_pod: str | None = None


def start(
    session: Session,
    argv: Sequence[str],
    asked: Asked,
    *,
    detach: bool = False,
    dry_run: bool = False,
) -> None:
    """Deploy what changed, start `argv` as a run, and follow it unless `detach`.

    Args:
        session: the project and its pod.
        argv: the command, run in the code snapshot.
        asked: what more is asked.
        detach: print the id and return.
        dry_run: only show what would be done.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    from moola_remote.cli.output import make_plan, print_plan, show_deploy

    check(asked, detach=detach)
    plan = make_plan(session, asked.data, is_all=session.is_verbose or dry_run)
    if dry_run:
        print_plan(session, plan, argv)
        return
    if session.provider.is_paid:
        session.bring_up()
    deployed = show_deploy(session, plan)
    begin(session, argv, asked, deployed, detach=detach)


def check(asked: Asked, *, detach: bool) -> None:
    """Raises a UsageError where what is asked contradicts itself."""
    if detach and asked.then:
        raise click.UsageError(
            "--then is done here, when the run has ended, and --detach doesn't wait for it"
        )


def begin(
    session: Session, argv: Sequence[str], asked: Asked, deployed: Deployed, *, detach: bool
) -> None:
    """Start `argv` on what was deployed, and follow it unless `detach`.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    from moola_remote.specs import make_spec, new_run_id

    _keep_code(session, deployed)
    spec = make_spec(
        new_run_id(asked.label),
        argv,
        trees=deployed.trees,
        recipe=asked.recipe,
        gpu=asked.gpu,
        replay_of=asked.replay_of,
        source=deployed.plan.source,
        machine=deployed.machine,
        price_per_hour=session.endpoint.price_per_hour,
        limits=limits_of(session, asked),
    )
    launch(session, spec, asked, detach=detach, gpu=deployed.gpu)


def _keep_code(session: Session, deployed: Deployed) -> None:
    """So that it can be run again when the pod is gone; no reason not to run it now."""
    try:
        if deployed.plan.code.parts:
            session.archive.keep(deployed.plan.code)
    except ConfigError as err:
        click.echo(f"note: {err}", err=True)


def launch(
    session: Session, spec: Mapping[str, Any], asked: Asked, *, detach: bool, gpu: str = ""
) -> None:
    """Start the run of `spec`, and follow it unless `detach`.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    on_pod = asked.on_finish_pod or spec.get("on_finish") or session.project.on_finish.pod
    state = _submit(session, {**spec, "on_finish": on_pod}, asked)
    if detach:
        _answer(session, state)
        return
    click.echo(f"run {state.run_id} started; Ctrl-C leaves it running", err=True)
    watch(session, state.run_id, gpu=gpu, then=asked.then)


def _submit(session: Session, spec: Mapping[str, Any], asked: Asked) -> RunState:
    from moola_remote.notes import Hook, Seen
    from moola_remote.runs import submit

    run_id, notes = spec["run_id"], session.notes(spec["run_id"])
    notes.keep_spec({**spec, "secret_names": sorted(asked.secrets)})
    on_finish = asked.on_finish or session.project.on_finish.laptop
    if on_finish:
        notes.keep_hook(Hook(on_finish, str(session.project.folder)))
    perhaps = f"run {run_id}: may have been started"
    try:
        state = submit(session.agent, spec, asked.secrets).state
    except KeyboardInterrupt:
        click.echo(f"\n{perhaps}\n{_hints(session, run_id)}", err=True)
        raise
    except UnreachableError as err:
        raise UnreachableError(f"{perhaps}, {err.message}", f"{session.command} runs") from err
    notes.see(Seen(time.time(), state.state))
    notes.keep_state(state)
    return state


def limits_of(session: Session, asked: Asked) -> dict[str, float | None]:
    """The limits of a spec; raises a ConfigError where the price isn't known that one needs."""
    price = session.endpoint.price_per_hour
    if asked.max_cost_usd is not None and not price:
        raise ConfigError(
            f"--max-cost: the price of pod {session.pod.name} is not known",
            f"write price_per_hour into configs/pods/{session.pod.name}.yaml",
        )
    cost_s = 3600 * asked.max_cost_usd / price if asked.max_cost_usd and price else 0.0
    for option, seconds in (("--max-time", asked.max_time_s or 0.0), ("--max-cost", cost_s)):
        if session.left_s is not None and seconds > session.left_s:
            _tell_early_end(session, option, session.left_s)
    limits = {"max_time_s": asked.max_time_s, "max_cost_usd": asked.max_cost_usd}
    return {**limits, "idle_stop_s": None}


def _tell_early_end(session: Session, option: str, left_s: float) -> None:
    from moola_remote.panels import duration

    click.echo(
        f"note: the pod stops itself in {duration(left_s)}, before {option} is reached; "
        f"lifetime_h in configs/pods/{session.pod.name}.yaml is that of the next pod",
        err=True,
    )


def _answer(session: Session, state: RunState) -> None:
    if session.as_json:
        session.answer(state.model_dump(mode="json"))
    else:
        click.echo(state.run_id)
        click.echo(_hints(session, state.run_id), err=True)


def watch(session: Session, run_id: str, *, gpu: str = "", then: str | None = None) -> None:
    """Show a run from its beginning to its end; Ctrl-C ends the showing alone.

    Args:
        session: the project and its pod.
        run_id: a whole run id.
        gpu: the pod's, in words.
        then: what to do with the pod once the run has ended, however it did.

    Raises:
        MoolaError: the run did not succeed; its exit code says how it ended.
    """
    from moola_remote.away import Away
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
            listener = Away(session.notes(run_id), shown.on_away).beside(listener)
            state = follow(session.link(), run_id, journal, listener, replay=True)
    except KeyboardInterrupt:
        leave(session, run_id)
    except PodGoneError as err:
        raise _without_pod(session, run_id, err) from err
    else:
        try:
            conclude(session, state, is_log_shown=not session.as_json)
        finally:
            if then:
                finish(session, run_id, then)


def _without_pod(session: Session, run_id: str, err: PodGoneError) -> MoolaError:
    if err.is_removed:
        told = f"run {run_id}: lost, {err.message} any more"
        return RunLostError(told, f"begin it again with: {session.command} train --replay {run_id}")
    told = f"run {run_id}: how it ended is on the volume, {err.message}"
    return UnreachableError(told, f"{session.command} up; then: {session.command} attach {run_id}")


def leave(session: Session, run_id: str) -> None:
    """After Ctrl-C: the run goes on, and this is how to return to it."""
    click.echo(f"\nrun {run_id} goes on without you\n{_hints(session, run_id)}", err=True)
    click.get_current_context().exit(INTERRUPTED)


def conclude(session: Session, state: RunState, *, is_log_shown: bool = False) -> None:
    """Say what to do next, or what the log's end says of the failure.

    Args:
        session: the project and its pod.
        state: how the run ended.
        is_log_shown: the log's end stands above already.

    Raises:
        MoolaError: the run did not succeed.
    """
    session.finish([state])
    _tell_use(state)
    if state.state == "SUCCEEDED":
        click.echo(f"run {state.run_id} succeeded", err=True)
        click.echo(f"  fetch it:  {session.command} fetch results {state.run_id}", err=True)
        return
    if not is_log_shown:
        for line in state.last_lines[:-1]:
            click.echo(f"  | {line}", err=True)
    raise _ending(session, state)


def _tell_use(state: RunState) -> None:
    if state.idle:
        what = "CPU" if state.gpu is None else "GPU"
        share, _, cost = state.idle.partition(" ")
        cost = f", {cost} for nothing" if cost else ""
        click.echo(f"  the {what} was idle {share} of the time{cost}", err=True)
    if state.on_finish:
        click.echo(f"  on_finish on the pod: exit code {state.on_finish}", err=True)


def _ending(session: Session, state: RunState) -> MoolaError:
    where = f"run {state.run_id}"
    if state.state == "CANCELLED":
        return JobCancelledError(f"{where}: {state.reason or 'cancelled'}")
    if state.state == "PREEMPTED":
        cure = f"go on with: {session.command} resume {state.run_id}"
        return JobCancelledError(f"{where}: preempted, {state.reason}", cure)
    logs = f"{session.command} logs {state.run_id}"
    if state.state == "LOST":
        return RunLostError(f"{where}: lost, {state.reason}", logs)
    last = f": {state.last_lines[-1]}" if state.last_lines else ""
    return JobFailedError(f"{where}: failed, {state.reason}{last}", logs)


def _hints(session: Session, run_id: str) -> str:
    command = session.command
    return f"  watch it:  {command} attach {run_id}\n  end it:    {command} cancel {run_id}"
