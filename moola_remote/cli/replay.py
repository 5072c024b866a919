"""What ``train --replay`` does."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App

if TYPE_CHECKING:
    from moola_remote.runs.launch import RunRequest
# What would make it another run.
CHANGES = ("recipe", "epochs", "seed", "use_crf", "settings", "data")


def refuse_changes(ctx: click.Context) -> None:
    """Refuse the options that would make a replay another run.

    Raises:
        UsageError: one was given.
    """
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name in CHANGES and source == click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--replay runs the same again: it takes no {param.opts[0]}")


def run_again(app: App, name: str, asked: RunRequest, *, detach: bool, dry_run: bool) -> None:
    """Run a run once more, and report every difference.

    Args:
        app: the project and its pod.
        name: of the run.
        asked: its GPU and secrets count.
        detach: print the id and return.
        dry_run: only show what would be done.

    Raises:
        MoolaError: it can't be had any more, or did not succeed.
    """
    from msgspec import structs

    from moola_remote.cli.deploy import print_plan, report_absent, show_deploy
    from moola_remote.cli.start import begin, check
    from moola_remote.deploy.source import Source
    from moola_remote.protocol.label import label_of
    from moola_remote.runs.record import find_record
    from moola_remote.runs.replay import differences, make_plan

    check(app, asked, detach=detach)
    if app.pod.provider.is_paid and not dry_run:
        app.bring_up()
    spec = find_record(app.pod, name, app.find_run).spec
    with tempfile.TemporaryDirectory(prefix="moola-") as folder:
        plan = make_plan(app.pod, spec, Path(folder))
        report_absent(plan)
        if dry_run:
            print_plan(app, plan, spec.argv)
            return
        source = Source(**structs.asdict(spec.source)) if spec.source else None
        plan = replace(plan, code=replace(plan.code, source=source))
        deployed = show_deploy(app, plan)
    for line in differences(spec, deployed, set(asked.secrets)):
        click.echo(f"not as it was for {spec.run_id}: {line}", err=True)
    label = asked.label or spec.recipe or label_of(spec.argv)
    env = {**spec.env, **asked.env}
    gpus = spec.gpus if asked.gpu is None and asked.gpus is None else asked.gpus
    asked = replace(
        asked, label=label, recipe=spec.recipe, replay_of=spec.run_id, env=env, gpus=gpus
    )
    begin(app, spec.argv, asked, deployed, detach=detach)
