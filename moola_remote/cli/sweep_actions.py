"""What the commands of ``sweep`` do: plan, drive, show, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.sweep_plan import require_optuna
from moola_remote.errors import (
    INTERRUPTED,
    ConfigError,
    MissingPackageError,
    MoolaError,
)

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Plan as DeployPlan
    from moola_remote.sweep.plan import Plan, SweepFolder
    from moola_remote.sweep.trial import Trial


def start_sweep(app: App, plan: Plan, secrets: Mapping[str, str]) -> None:
    """Begin a sweep, and drive it to its end.

    Raises:
        MoolaError: it did not reach its end, or most of its trials failed.
    """
    from moola_remote.cli.assumed import report_assumed
    from moola_remote.cli.sweep_plan import plan_deploy
    from moola_remote.sweep.checks import describe
    from moola_remote.sweep.plan import folder_of

    deploy_plan, _ = plan_deploy(app, plan, is_all=app.is_verbose)
    report_assumed(app, deploy_plan, plan.pods)
    folder = folder_of(app.project, plan.sweep_id)
    folder.write_plan(plan)
    click.echo(f"sweep {plan.sweep_id}: {describe(plan)}, on {', '.join(plan.pods)}", err=True)
    _drive(app, folder, plan, secrets, deploy_plan)


def resume_sweep(app: App, folder: SweepFolder, secrets: Mapping[str, str]) -> None:
    """Resume a sweep on the code and data that it was begun with.

    Raises:
        MoolaError: it did not reach its end, or most of its trials failed.
    """
    require_optuna()
    plan = folder.read_plan()
    missing = [name for name in plan.secrets if name not in secrets]
    if missing:
        again = " ".join(f"--secret {name}" for name in missing)
        raise ConfigError(
            f"sweep {plan.sweep_id}: its jobs were given secrets, none was kept", again
        )
    _drive(app, folder, plan, secrets, None)


def _drive(
    app: App,
    folder: SweepFolder,
    plan: Plan,
    secrets: Mapping[str, str],
    deploy_plan: DeployPlan | None,
) -> None:
    """Drive a sweep to its end and print it; `deploy_plan` is None where it is gone on with."""
    from moola_remote.cli.sweep_pods import SweepPods
    from moola_remote.results.folder import make_folder
    from moola_remote.runs.local_state import thin_out
    from moola_remote.sweep.drive import Crew, drive
    from moola_remote.sweep.drive_ray import drive_ray
    from moola_remote.sweep.money import Budget
    from moola_remote.ui.sweep_output import sweep_output

    make_folder(app.project.results_folder)
    thin_out(app.laptop.journals, app.project.journals_mb * 1_000_000, app.laptop.journals)
    with folder.held():
        folder.cancelled.unlink(missing_ok=True)
        budget = Budget(folder.money, plan.max_cost_usd, last_seen=folder.last_seen())
        output = sweep_output(plan, answer=app.answer if app.as_json else None, spent=budget.spent)
        pods = SweepPods(
            app, plan, budget, output, lambda one: deploy_plan or _plan_again(one, folder, plan)
        )
        crew = Crew(
            pods.deploy,
            output,
            bring_up=pods.bring_up,
            share=pods.share,
            release=pods.release,
            lose=pods.lose,
            budget=budget,
            secrets=secrets,
        )
        try:
            with output:
                engine = drive_ray if plan.engine == "ray" else drive
                coordinator = engine(folder, plan, crew)
        except KeyboardInterrupt:
            click.echo(
                f"\nthe started runs keep running; moola-remote sweep resume {plan.sweep_id}",
                err=True,
            )
            click.get_current_context().exit(INTERRUPTED)
        print_trials(app, plan, coordinator.trials())
        with suppress(ModuleNotFoundError):
            _write_tables(app, folder, coordinator.trials(), plan)
        if not app.as_json and budget.spent():
            of_limit = f" of ${plan.max_cost_usd:.2f}" if plan.max_cost_usd else ""
            click.echo(f"spent ${budget.spent():.2f}{of_limit}", err=True)
        try:
            coordinator.check_end()
        except MoolaError as err:
            again = f"moola-remote sweep resume {plan.sweep_id}"
            err.cure = f"{err.cure}; then: {again}" if err.cure else again
            raise


def _write_tables(app: App, folder: SweepFolder, trials: Sequence[Trial], plan: Plan) -> None:
    """Write the page and the table of a sweep; a full disk does not hide how the sweep ended."""
    try:
        with suppress(MissingPackageError):
            write_report(app, folder)
        write_trials(folder, trials, plan)
    except ConfigError as err:
        click.echo(f"note: {err}; then: moola-remote sweep report {plan.sweep_id}", err=True)


def _plan_again(app: App, folder: SweepFolder, plan: Plan) -> DeployPlan:
    """Return what the runs of a sweep stand on, wherever that still is."""
    from moola_remote.cli.deploy import make_plan
    from moola_remote.runs.parents import Parent
    from moola_remote.runs.resume_sources import Sources
    from moola_remote.sweep.checks import trial_files
    from moola_remote.sweep.runner import Quiet
    from moola_remote.sweep.started_runs import first_spec

    spec = first_spec(app.laptop, folder, plan)
    if spec is None:
        reads = trial_files(app.project, plan)
        return make_plan(app, plan.data, is_all=app.is_verbose, reads=reads)
    parent = Parent(spec.run_id, spec, None, is_here=False)
    return Sources(app.pod, parent, plan.data, Quiet()).plan()


def print_sweep(app: App, folder: SweepFolder) -> None:
    """Print the trials of a sweep as its study has them."""
    from moola_remote.sweep.checks import describe
    from moola_remote.sweep.cluster import read_cluster
    from moola_remote.sweep.study import Study

    require_optuna()
    plan = folder.read_plan()
    trials = Study(folder.journal, plan, is_writing=False).trials()
    state = "cancelled, " if folder.cancelled.exists() else ""
    state = "running, " if folder.is_held() else state
    click.echo(f"sweep {plan.sweep_id}: {state}{describe(plan)}", err=True)
    print_trials(app, plan, trials)
    if cluster := read_cluster(folder):
        driver = cluster.driver
        click.echo(f"trials come with the end of driver {driver.run_id} on {driver.pod}", err=True)


def print_trials(app: App, plan: Plan, trials: Sequence[Trial]) -> None:
    """Print a table of trials, or a JSON line each."""
    from moola_remote.sweep.format import counts_line, ranked, state_of
    from moola_remote.sweep.study import best_of
    from moola_remote.ui.sweep_output import trial_fields
    from moola_remote.ui.sweep_table import trials_table
    from moola_remote.ui.tables import show

    if app.as_json:
        for trial in trials:
            app.answer(trial_fields(trial, state_of(trial)))
        return
    if trials:
        show(trials_table(ranked(trials, plan), plan, best_of(trials, plan)))
    click.echo(counts_line(trials, plan), err=True)


def cancel_sweep(app: App, folder: SweepFolder) -> None:
    """Start no further trial, cancel active runs, and note in the study which are left to do."""
    from moola_remote.sweep.cluster import cancel_members, read_cluster
    from moola_remote.sweep.started_runs import cancel_runs
    from moola_remote.sweep.study import Study
    from moola_remote.sweep.trial import WITH_SWEEP

    require_optuna()
    plan = folder.read_plan()
    folder.cancelled.touch()
    trials = Study(folder.journal, plan, is_writing=False).trials()
    cluster = read_cluster(folder)
    lines = cancel_members(app.pod, cluster) if cluster else cancel_runs(app.pod, trials)
    for line in lines:
        click.echo(line, err=True)
    if folder.is_held():
        click.echo(f"sweep {plan.sweep_id}: the process working on it ends by itself", err=True)
        return
    with folder.held():
        study = Study(folder.journal, plan, is_writing=True)
        for trial in study.trials():
            if trial.state == "running" and plan.engine == "pods":
                study.note(trial.number, "why", WITH_SWEEP)
    click.echo(
        f"sweep {plan.sweep_id}: cancelled; what ended comes, and what did not is begun again, "
        f"with: moola-remote sweep resume {plan.sweep_id}"
    )


def write_trials(folder: SweepFolder, trials: Sequence[Trial], plan: Plan) -> None:
    """Write the table of trials beside the study.

    Raises:
        ConfigError: it can't be written.
        ModuleNotFoundError: pyarrow is not installed.
    """
    from moola_remote.export.tables import write_table
    from moola_remote.export.trials import trials_table

    write_table(trials_table(trials, plan), folder.path / "trials.parquet")


def write_report(app: App, folder: SweepFolder, out: Path | None = None) -> Path:
    """Write the page of a sweep; return where it is.

    Raises:
        ConfigError: it can't be written, or a package is missing.
    """
    from moola_remote.sweep.money import Budget
    from moola_remote.sweep.page import write_page

    require_optuna()
    spent = Budget(folder.money, None, last_seen=folder.last_seen()).spent()
    return write_page(folder, app.project.results_folder, out, spent)
