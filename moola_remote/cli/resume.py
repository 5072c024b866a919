"""What ``resume`` does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App

if TYPE_CHECKING:
    from moola_remote.runs.launch import RunRequest
    from moola_remote.runs.resume_sources import Sources


def _send_checkpoints(sources: Sources) -> str | None:
    from moola_remote.ui.progress import Progression

    with Progression() as progression:
        return replace(sources, watcher=progression).send_checkpoints()


def resume_run(app: App, name: str | None, asked: RunRequest, *, detach: bool) -> None:
    """Send what a run was started with to the pod, and resume it as a new run.

    Args:
        app: the project and the pod to resume on.
        name: a run's id or its beginning; None is the latest.
        asked: what is asked otherwise than of that run.
        detach: print the id and return.

    Raises:
        MoolaError: it can't be gone on with, or did not succeed.
    """
    from moola_remote.cli.deploy import show_deploy
    from moola_remote.cli.start import check, launch, report_early_end
    from moola_remote.runs.launch import merged_limits
    from moola_remote.runs.parents import find_parent
    from moola_remote.runs.resume import make_spec, require_secrets
    from moola_remote.runs.resume_sources import Sources
    from moola_remote.ui.progress import Progression

    check(app, asked, detach=detach)
    if app.pod.provider.is_paid:
        app.bring_up()
    with find_parent(app.pod, name) as parent:
        require_secrets(parent, asked.secrets)
        limits = merged_limits(app.pod, asked, parent.spec.limits)
        click.echo(f"resuming run {parent.run_id}, with the code it was started with", err=True)
        with Progression() as progression:
            sources = Sources(app.pod, parent, asked.data, progression)
            plan = sources.plan()
        deployed = show_deploy(app, plan)
        for tree in filter(None, (plan.code, plan.data)):
            shutil.rmtree(app.laptop.relay(tree.digest), ignore_errors=True)
        checkpoints = app.persist(partial(_send_checkpoints, sources))
    report_early_end(app, asked)
    spec = make_spec(app.pod, parent, deployed, checkpoints, asked.label)
    env = {**spec.env, **asked.env}
    spec = spec.changed(limits=limits, env=env)
    if asked.gpu is not None or asked.gpus is not None:
        spec = spec.changed(gpu=asked.gpu, gpus=asked.gpus)
    launch(app, spec, asked, detach=detach, gpu=deployed.gpu)
