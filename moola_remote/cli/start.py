"""What `train`, `run` and `attach` share: start a run, show it while it lasts, end as it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.then import finish
from moola_remote.cli.watch_run import hints, is_of_the_pod, is_pod_gone, watch
from moola_remote.errors import MoolaError

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed
    from moola_remote.protocol.spec import Spec
    from moola_remote.protocol.state import RunState
    from moola_remote.runs.launch import RunRequest


def start(
    app: App,
    argv: Sequence[str],
    asked: RunRequest,
    *,
    reads: Mapping[str, Sequence[str]] | None = None,
    detach: bool = False,
    dry_run: bool = False,
) -> None:
    """Deploy what changed, start `argv` as a run, and follow it unless `detach`.

    Args:
        app: the project and its pod.
        argv: the command, run in the code snapshot.
        asked: what more is asked.
        reads: the data files of each key of its recipe; None where that is not known.
        detach: print the id and return.
        dry_run: only show what would be done.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    from moola_remote.cli.assumed import (
        check_read,
        check_script,
        check_sent,
        report_assumed,
        report_inline,
    )
    from moola_remote.cli.deploy import make_plan, print_plan, show_deploy

    check(app, asked, detach=detach)
    check_script(app.project, argv, Path.cwd())
    plan = make_plan(app, asked.data, is_all=app.is_verbose or dry_run, reads=reads)
    check_sent(plan.code, app.project.folder, argv)
    check_read(plan.data, reads or {})
    report_inline(plan, app.project.folder, argv)
    report_assumed(app, plan)
    if dry_run:
        print_plan(app, plan, argv)
        return
    if app.pod.provider.is_paid:
        app.bring_up()
    deployed = show_deploy(app, plan)
    begin(app, argv, asked, deployed, detach=detach)


def check(app: App, asked: RunRequest, *, detach: bool) -> None:
    """Check what is asked before anything is sent or rented.

    Raises:
        UsageError: options contradict each other.
        ConfigError: the pod that would be rented has fewer GPUs than are asked for.
    """
    from moola_remote.runs.launch import check_gpus

    if detach and asked.retry:
        raise click.UsageError("--retry watches the run from here, and --detach doesn't wait")
    if asked.gpu is not None and asked.gpus is not None:
        raise click.UsageError("--gpu names one GPU, --gpus a number of them: give one of the two")
    if detach and asked.then:
        raise click.UsageError(
            "--then is done here, when the run has ended, and --detach doesn't wait for it"
        )
    check_gpus(app.pod.config, asked.gpus)


def begin(
    app: App, argv: Sequence[str], asked: RunRequest, deployed: Deployed, *, detach: bool
) -> None:
    """Start `argv` on what was deployed, and follow it unless `detach`.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    from moola_remote.protocol.spec import new_run_id
    from moola_remote.runs.launch import keep_code, new_spec

    problem = keep_code(app.pod, deployed)
    if problem:
        click.echo(f"note: {problem}", err=True)
    report_early_end(app, asked)
    more = {"gpu": asked.gpu, "gpus": asked.gpus, "replay_of": asked.replay_of}
    spec = new_spec(app.pod, deployed, asked, new_run_id(asked.label), argv, **more)
    launch(app, spec, asked, detach=detach, gpu=deployed.gpu)


def report_early_end(app: App, asked: RunRequest) -> None:
    """Print which limits the pod's own end comes before."""
    from moola_remote.runs.launch import limits_past_the_end
    from moola_remote.text.format import duration

    for option in limits_past_the_end(app.pod, asked, app.left_s):
        click.echo(
            f"note: the pod stops itself in {duration(app.left_s or 0.0)}, before {option} is "
            f"reached; lifetime_h in configs/pods/{app.pod.name}.yaml is that of the next pod",
            err=True,
        )


def launch(app: App, spec: Spec, asked: RunRequest, *, detach: bool, gpu: str = "") -> None:
    """Start the run of `spec`, and follow it unless `detach`.

    Raises:
        MoolaError: it can't be started, or did not succeed.
    """
    from moola_remote.runs.launch import submit

    on_pod = asked.on_finish_pod or spec.on_finish or app.project.on_finish.pod
    run_id = spec.run_id
    try:
        # A run is started once for each id.
        state = app.persist(lambda: submit(app.pod, spec.changed(on_finish=on_pod), asked))
    except KeyboardInterrupt:
        click.echo(f"\nrun {run_id}: may have been started\n{hints(app, run_id)}", err=True)
        raise
    if detach:
        _answer(app, state)
        return
    click.echo(f"run {state.run_id} started; Ctrl-C leaves it running", err=True)
    try:
        watch(app, state.run_id, gpu=gpu)
    except MoolaError as err:
        err.run_id = state.run_id
        is_tried_again = bool(asked.retry) and is_of_the_pod(err)
        if asked.then and not is_tried_again and not is_pod_gone(err):
            finish(app, state.run_id, asked.then)
        raise
    if asked.then:
        finish(app, state.run_id, asked.then)


def _answer(app: App, state: RunState) -> None:
    if app.as_json:
        from moola_remote.config.typed import plain

        app.answer(plain(state))
    else:
        click.echo(state.run_id)
        click.echo(hints(app, state.run_id), err=True)
