"""``train``, ``run`` and ``resume``: start a job on the pod, and follow it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from moola_remote.cli.app import App
from moola_remote.cli.complete import any_run_ids, recipe_names, run_ids
from moola_remote.cli.options import (
    EMPTY_WORD,
    data_option,
    detach_option,
    dry_run_option,
    env_option,
    gpu_option,
    gpus_option,
    idle_stop_option,
    key_values,
    max_cost_option,
    max_time_option,
    name_option,
    on_finish_option,
    on_finish_pod_option,
    retry_option,
    secret_option,
)
from moola_remote.cli.then import then_option

# What may be asked of any job: the fields of `runs.launch.RunRequest`, and the app's own.
_JOB_OPTIONS = (
    *(name_option, data_option, env_option, secret_option, gpu_option, gpus_option),
    *(max_time_option, max_cost_option, idle_stop_option),
    *(retry_option, then_option, on_finish_option, on_finish_pod_option),
)


def _job_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_JOB_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option(
    "--recipe",
    metavar="NAME",
    shell_complete=recipe_names,
    help="A file in configs/train; default: the project's.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Overrides the recipe.")
@click.option(
    "--replay",
    metavar="RUN",
    shell_complete=run_ids,
    help="Run RUN again as it was; reports every difference.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Overrides the recipe.")
@click.option("--use-crf", is_flag=True, help="Decode the span with a linear-chain CRF.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    callback=key_values,
    help="Change one key of the recipe.",
)
@_job_options
@detach_option
@dry_run_option
@click.pass_context
def train(
    ctx: click.Context,
    /,
    replay: str | None,
    recipe: str | None,
    epochs: int | None,
    seed: int | None,
    use_crf: bool,
    settings: tuple[str, ...],
    detach: bool,
    dry_run: bool,
    **job: Any,
) -> None:
    """Deploy what changed, start a training run, follow it to its end.

    A pod that does not exist yet is rented first; a stopped one is started.

    Ctrl-C stops watching; the run continues. The exit code says how the run ended: 0 done,
    20 failed, 21 cancelled, 22 lost.

    \b
    Example:
      moola-remote train --recipe jade --epochs 40 --set training.learning_rate=0.002
    """
    from moola_remote.cli.replay import refuse_changes, run_again
    from moola_remote.cli.retry import retrying
    from moola_remote.cli.start import start
    from moola_remote.config.recipe import data_files
    from moola_remote.runs.launch import RunRequest, TrainOptions, check_train, train_argv

    app: App = ctx.obj
    options = TrainOptions(epochs=epochs, seed=seed, use_crf=use_crf, settings=settings)
    name = recipe or app.project.recipe
    given = job.pop("name")
    if replay is None:
        for note in check_train(app.project, name, settings, job["gpus"]):
            click.echo(f"note: {note}", err=True)
        argv = train_argv(app.project, name, options)
        asked = RunRequest(label=given or name, recipe=name, **job)
        reads = data_files(app.project, name, settings)
        begin = partial(start, app, argv, reads=reads, detach=detach, dry_run=dry_run)
    else:
        refuse_changes(ctx)
        asked = RunRequest(label=given or "", **job)
        begin = partial(run_again, app, replay, detach=detach, dry_run=dry_run)
    retrying(app, asked, begin)


# The first word that is no option of ours begins the command, with or without `--`.
@click.command(context_settings={"allow_interspersed_args": False})
@_job_options
@detach_option
@dry_run_option
@click.argument("command", metavar="-- COMMAND ...", nargs=-1, required=True)
@click.pass_obj
def run(app: App, /, detach: bool, dry_run: bool, command: tuple[str, ...], **job: Any) -> None:
    """Run any command on the pod, as a run: detached, logged, verified.

    It starts in its own copy of the code, with MOOLA_RUN_DIR and MOOLA_DATA_DIR set; `python` is
    the environment's.

    \b
    Example:
      moola-remote run -- python -m jobs.review labelled/train_210.parquet
    """
    from moola_remote.cli.retry import retrying
    from moola_remote.cli.start import start
    from moola_remote.protocol.label import label_of
    from moola_remote.runs.launch import RunRequest

    if not command[0]:
        raise click.UsageError(EMPTY_WORD)
    asked = RunRequest(label=job.pop("name") or label_of(command), **job)
    retrying(app, asked, partial(start, app, list(command), detach=detach, dry_run=dry_run))


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False, shell_complete=any_run_ids)
@_job_options
@detach_option
@click.pass_obj
def resume(app: App, /, run_id: str | None, detach: bool, **job: Any) -> None:
    """Resume a run that ended too early, from its latest complete checkpoint, as a new run.

    RUN is a run's id or the beginning of one; the latest by default. It resumes with the code, data
    and settings that it was started with, whatever was changed here since.

    With --pod OTHER it resumes there: code, data and checkpoints travel, from the old pod if it is
    up, else from here.

    \b
    Example:
      moola-remote --pod runpod-4090 resume 20261122-1530
    """
    from moola_remote.cli.resume import resume_run
    from moola_remote.cli.retry import retrying
    from moola_remote.runs.launch import RunRequest

    asked = RunRequest(label=job.pop("name") or "", **job)
    retrying(app, asked, partial(resume_run, app, run_id, detach=detach))


COMMANDS = [train, run, resume]
