"""What a sweep is asked to do: its plan, checked on this machine, and its dry run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from moola_remote.cli.app import App
from moola_remote.cli.options import EMPTY_WORD
from moola_remote.errors import MissingPackageError, missing_package

if TYPE_CHECKING:
    from moola_remote.config.settings import Project
    from moola_remote.deploy.deploy import Plan as DeployPlan
    from moola_remote.deploy.snapshot import Tree
    from moola_remote.sweep.plan import Plan

DEFAULT_TRIALS = 16
ADDRESS = r"[A-Za-z0-9.:-]{1,253}:[0-9]{1,5}"


def make_sweep_plan(
    app: App, command: Sequence[str], asked: Mapping[str, Any], secrets: Sequence[str]
) -> Plan:
    """Return the plan of what the user asked for, after every check that this machine can do.

    Raises:
        ConfigError: something is wrong with it.
    """
    from moola_remote.protocol.label import label_of
    from moola_remote.protocol.spec import new_run_id
    from moola_remote.sweep.checks import check_plan
    from moola_remote.sweep.plan import Plan, read_goal
    from moola_remote.sweep.space import read_seeds, read_space

    require_optuna()
    if command and not command[0]:
        raise click.UsageError(EMPTY_WORD)
    if command and (asked["recipe"] or asked["settings"]):
        raise click.UsageError("a command has no recipe: no --recipe or --set with one")
    recipe = None if command else asked["recipe"] or app.project.recipe
    plain = [word for word in command if "{" not in word]
    label = asked["name"] or recipe or label_of(plain or command)
    for option in ("spaces", "grid"):
        for text in asked[option]:
            read_space(text, "--try" if option == "spaces" else "--grid")
    data = {name: Path.cwd() / path for name, path in asked["data"].items()}
    table: dict[str, Any] = {"data": data}
    table |= {key: asked[key] for key in ("metric", "early", "env")}
    table |= {key: asked[key] for key in ("folds", "repeats", "pack", "engine")}
    table |= {key: list(asked[key]) for key in ("settings", "spaces", "grid")}
    plan = Plan(
        sweep_id=new_run_id(label),
        label=label,
        recipe=recipe,
        command=list(command),
        seeds=read_seeds(asked["seeds"]) if asked["seeds"] else [],
        goal=read_goal(asked["goal"]),
        trials=asked["trials"] or DEFAULT_TRIALS,
        address=read_address(asked["address"]),
        pods=pods_of(app, asked["pods"]),
        secrets=list(secrets),
        max_time_s=asked["max_time_s"],
        max_cost_usd=asked["max_cost_usd"],
        then=asked["then"],
        **table,
    )
    for note in check_plan(app.project, plan):
        click.echo(f"note: {note}", err=True)
    if plan.is_static:
        if asked["trials"]:
            raise click.UsageError(
                "--grid and --seeds set the number of trials themselves: leave --trials out"
            )
        plan = structs.replace(plan, trials=len(plan.table()))
    return plan


def read_address(text: str | None) -> str | None:
    """Return ``--address``, checked."""
    if text is not None and not re.fullmatch(ADDRESS, text):
        raise click.BadParameter(f"expected HOST:PORT, got {text!r}", param_hint="--address")
    return text


def require_optuna() -> None:
    """Raise before anything is done where the extra is not installed."""
    from importlib.util import find_spec

    if find_spec("optuna") is None:
        err = missing_package(ModuleNotFoundError("optuna", name="optuna"))
        raise err or MissingPackageError("a sweep needs optuna")


def pods_of(app: App, text: str | None) -> list[str]:
    """Return the pods that ``--pods`` means: a number, or names.

    Raises:
        ConfigError: one has no file, or its file is of one machine.
    """
    from moola_remote.config.settings import load_pod, numbered

    if text is None:
        return [app.pod.name]
    if text.isdigit() and 0 < int(text) < 1000:
        names = numbered(app.pod.name, int(text))
    else:
        names = list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    for name in names:
        load_pod(app.project, name)
    if not names:
        raise click.BadParameter(f"expected a number or names, got {text!r}", param_hint="--pods")
    return names


def plan_deploy(app: App, plan: Plan, *, is_all: bool) -> tuple[DeployPlan, list[str]]:
    """Return what is sent for a sweep, and the command of its first trial, which is checked.

    Raises:
        ConfigError: a trial's command would end at once, on a pod that may cost money.
    """
    from moola_remote.cli.assumed import check_script, check_sent
    from moola_remote.cli.deploy import make_plan
    from moola_remote.sweep.checks import trial_files
    from moola_remote.sweep.command import trial_argv

    if plan.command:  # not a recipe's
        check_script(app.project, plan.command, Path.cwd())
    reads = trial_files(app.project, plan)
    made = make_plan(app, plan.data, is_all=is_all, reads=reads)
    first = {space.key: space.examples()[0] for space in plan.tried}
    argv = trial_argv(app.project, plan, first)
    if plan.command:
        check_sent(made.code, app.project.folder, argv)
    _check_files(app.project, plan, made.data, reads or {})
    return made, argv


def _check_files(
    project: Project, plan: Plan, data: Tree | None, reads: Mapping[str, Sequence[str]]
) -> None:
    """Check that what each trial reads is among the data that is sent.

    Raises:
        ConfigError: it is not.
    """
    from moola_remote.cli.assumed import check_read
    from moola_remote.sweep.checks import tried_files, typed_space

    tried = tried_files(project, plan)
    check_read(data, {key: paths for key, paths in reads.items() if key not in tried})
    for space in plan.tried:
        with _naming(typed_space(plan, space)):
            check_read(data, {space.key: tried.get(space.key, ())})


@contextlib.contextmanager
def _naming(option: str) -> Iterator[None]:
    """Name the option that tries a file which is not sent."""
    from moola_remote.errors import ConfigError

    try:
        yield
    except ConfigError as err:
        cure = "leave it out, or send it with --data NAME=PATH"
        raise ConfigError(f"{option}: {err.message}", cure) from err


def print_dry_run(app: App, plan: Plan) -> None:
    """Print what would be tried, and where."""
    from moola_remote.cli.deploy import print_plan
    from moola_remote.sweep.checks import describe
    from moola_remote.sweep.estimate import estimate, price_of

    deploy_plan, argv = plan_deploy(app, plan, is_all=True)
    if not app.as_json:
        click.echo(f"{describe(plan)}, on {', '.join(plan.pods)}")
        for space in plan.tried:
            click.echo(f"  {space}")
        found = estimate(app.project, plan)
        price = price_of(app.pod.config)
        unknown = "no earlier run says how long a trial takes"
        click.echo(f"  {found.words(plan, price) if found else unknown}")
    print_plan(app, deploy_plan, argv)
