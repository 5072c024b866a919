"""What a sweep is refused for before anything is sent or rented."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from moola_remote.config.recipe import check_recipe, data_files, data_keys, recipe_path
from moola_remote.config.settings import PodConfig, Project, base_of, load_pod
from moola_remote.errors import ConfigError
from moola_remote.runs.launch import check_train
from moola_remote.sweep.command import crossval_of, driver_of, many_of, require_used
from moola_remote.sweep.estimate import price_of
from moola_remote.sweep.objective import read_metric
from moola_remote.sweep.plan import SEED, Plan
from moola_remote.sweep.space import Space, text_of


def check_plan(project: Project, plan: Plan) -> list[str]:
    """Check a plan against the recipe's schema, or its command.

    Returns:
        What looks wrong and may be right.

    Raises:
        ConfigError: the job would refuse a value, or the sweep would cost and say nothing.
    """
    _check_keys(plan)
    if plan.metric is not None:
        read_metric(plan.metric)
    if plan.max_cost_usd is not None:
        for name in plan.pods:
            require_price(load_pod(project, name))
    if plan.folds:
        _check_folds(project, plan)
    if plan.pack > 1:
        _check_pack(project, plan)
    _check_engine(project, plan)
    if plan.recipe is None:
        require_used(plan.command, [space.key for space in plan.tried])
        return []
    notes = check_train(project, plan.recipe, plan.settings)
    for space in plan.tried:
        for value in space.examples() if space.key != SEED else ():
            setting = f"{space.key}={text_of(value)}"
            found = _check_value(project, plan, setting, space)
            notes += [note for note in found if note not in notes]
    _check_recipe(plan, _table(project, plan))
    return notes


def _check_folds(project: Project, plan: Plan) -> None:
    if plan.recipe is None:
        raise ConfigError("--folds: a command judges itself, expected a recipe", "leave it out")
    crossval_of(project)
    if plan.seeds or plan.early != "none":
        option = "--seeds" if plan.seeds else "--early"
        raise ConfigError(
            f"--folds: each fold has a seed of its own and reports no epochs, so not with {option}",
            "try other folds with --repeats" if plan.seeds else "leave --early out",
        )


def _check_pack(project: Project, plan: Plan) -> None:
    if plan.recipe is None:
        raise ConfigError(
            "--pack: a command is a process of its own each time, expected a recipe",
            "leave --pack out",
        )
    many_of(project)
    if plan.early != "none":
        raise ConfigError(
            "--early: cancels runs, and with --pack a run is several trials", "leave one out"
        )
    _check_threads(plan, "--pack")


def _check_threads(plan: Plan, option: str) -> None:
    if any(space.key == "training.threads" for space in plan.tried):
        raise ConfigError(
            f"training.threads: is fixed when a process starts, and with {option} trials share one",
            f"leave {option} out",
        )


def _check_engine(project: Project, plan: Plan) -> None:
    if plan.engine != "ray":
        if plan.address is not None:
            raise ConfigError("--address: is that of a Ray cluster, expected --engine ray with it")
        return
    if plan.recipe is None:
        raise ConfigError(
            "--engine ray: has recipes tried in warm processes, a command is one of its own",
            "leave --engine out",
        )
    driver_of(project)
    words = {"--early": plan.early != "none", "--pack": plan.pack > 1, "--metric": plan.metric}
    for option in (option for option, is_given in words.items() if is_given):
        raise ConfigError(f"{option}: not with --engine ray", f"leave {option} out")
    _check_threads(plan, "--engine ray")
    if plan.address is not None and len(plan.pods) > 1:
        raise ConfigError(
            f"--address {plan.address}: that cluster has its own nodes, expected one pod, on which "
            "the driver runs",
            "leave --pods out",
        )
    unlinked = [name for name in plan.pods if not _is_linked(load_pod(project, name))]
    if unlinked and plan.address is None:
        raise ConfigError(
            f"--engine ray: other pods can't reach {unlinked[0]}, nodes of a cluster have to",
            f"write {_LINKS[load_pod(project, unlinked[0]).provider]} into its file, or leave "
            "--engine out",
        )


# What the file of a pod has to say for others to reach it.
_LINKS = {"runpod": "global_networking: true", "ssh": "private_host: ADDRESS"}


def _is_linked(config: PodConfig) -> bool:
    if config.runpod is not None:
        return config.runpod.global_networking
    return config.provider == "local" or config.private_host is not None


def require_price(config: PodConfig) -> None:
    """Check that a pod's file says what it costs.

    Raises:
        ConfigError: it does not, so that a limit of cost would end nothing.
    """
    if price_of(config) is None:
        raise ConfigError(
            f"--max-cost: the price of pod {config.name} is not known",
            f"write price_per_hour into configs/pods/{base_of(config.name)}.yaml",
        )


def trial_files(project: Project, plan: Plan) -> dict[str, list[str]] | None:
    """Return what the trials of a recipe read, as `data_files` does of one run."""
    reads = data_files(project, plan.recipe, plan.settings) if plan.recipe else None
    return None if reads is None else reads | tried_files(project, plan)


def tried_files(project: Project, plan: Plan) -> dict[str, list[str]]:
    """Return the data files among the values that are tried, by their key."""
    keys = data_keys(project) or []
    found = {space.key: space.examples() for space in plan.tried if space.key in keys}
    return {
        key: [str(value) for value in values if value is not None] for key, values in found.items()
    }


def typed_space(plan: Plan, space: Space) -> str:
    """Return a space with its option, as it was typed."""
    return f"--{'grid' if str(space) in plan.grid else 'try'} {space}"


def _check_value(project: Project, plan: Plan, setting: str, space: Space) -> list[str]:
    assert plan.recipe
    try:
        return check_recipe(project, plan.recipe, [*plan.settings, setting])
    except ConfigError as err:
        raise ConfigError(f"{typed_space(plan, space)}: {err.message}", err.cure) from err


def _check_keys(plan: Plan) -> None:
    keys = [space.key for space in plan.tried]
    if not keys:
        raise ConfigError(
            "sweep: nothing to try, expected --try, --grid or --seeds",
            "for example --try training.learning_rate=log:3e-4..1e-2 --trials 16",
        )
    twice = sorted({key for key in keys if keys.count(key) > 1})
    fixed = [text.partition("=")[0].strip() for text in plan.settings]
    both = [key for key in keys if key in fixed]
    if twice or both:
        raise ConfigError(
            f"{(twice or both)[0]}: given twice, expected one --try, --grid or --set of a key"
        )
    if plan.is_static and plan.spaces:
        raise ConfigError(
            "sweep: --grid and --seeds try every combination, --try draws; expected one of them",
            "list the values with --grid",
        )


def _table(project: Project, plan: Plan) -> dict[str, Any]:
    """Return the recipe with the settings of every trial; of a checked recipe."""
    assert plan.recipe
    table = yaml.safe_load(recipe_path(project, plan.recipe).read_text(encoding="utf-8")) or {}
    for text in plan.settings:
        key, _, value = text.partition("=")
        section, dot, name = key.strip().partition(".")
        if dot and isinstance(table.setdefault(section, {}), dict):
            table[section][name] = yaml.safe_load(value)
    return dict(table)


def _check_recipe(plan: Plan, table: Mapping[str, Any]) -> None:
    """Refuse what would cost and say nothing, as far as the recipe itself says so."""
    recipe, tried = plan.recipe, {space.key for space in plan.tried}

    def value(section: str, key: str) -> Any:
        found = table.get(section)
        is_tried = f"{section}.{key}" in tried
        return found.get(key) if isinstance(found, dict) and not is_tried else None

    share = value("split", "validation_share")
    if share is not None and float(share) == 0 and plan.metric is None and not plan.folds:
        raise ConfigError(
            f"recipe {recipe}: split.validation_share is 0, so that no run has a score to judge "
            "it by",
            "judge by cross-validation: --folds 5; or set --set split.validation_share=0.2",
        )
    if plan.seeds and value("training", "optimizer") == "lbfgs":
        raise ConfigError(
            f"recipe {recipe}: training.optimizer is lbfgs, in which nothing is random: every "
            "seed gives the same",
            "leave --seeds out, or --set training.optimizer=adamw",
        )
    size, units = value("ensemble", "size"), value("ensemble", "units")
    if plan.early != "none" and (units or (size or 1) > 1):
        raise ConfigError(
            f"recipe {recipe}: the epochs of an ensemble count on over its members, so that an "
            "early one says nothing of the whole",
            "leave --early out",
        )


def describe(plan: Plan) -> str:
    """Return what is tried, on one line."""
    what = f"recipe {plan.recipe}" if plan.recipe else json.dumps(" ".join(plan.command))
    folds = f" over {plan.folds} folds" if plan.folds else ""
    engine = " with Ray" if plan.engine == "ray" else ""
    return f"{plan.trials} trials of {what}, by {plan.goal}{folds}{engine}"
