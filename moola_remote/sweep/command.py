"""What a trial runs: the recipe's job with its parameters, or the user's command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from moola_remote.config.settings import Project
from moola_remote.errors import ConfigError
from moola_remote.runs.launch import TrainOptions, train_argv
from moola_remote.sweep.plan import SEED, Plan
from moola_remote.sweep.space import Value, text_of


def trial_argv(project: Project, plan: Plan, params: Mapping[str, Value]) -> list[str]:
    """Return the command of a trial.

    Raises:
        ConfigError: no such recipe.
    """
    if plan.recipe is None:
        return fill(plan.command, params)
    seed = params.get(SEED)
    tried = [f"{key}={text_of(value)}" for key, value in params.items() if key != SEED]
    options = TrainOptions(
        seed=seed if isinstance(seed, int) else None, settings=(*plan.settings, *tried)
    )
    argv = train_argv(project, plan.recipe, options)
    if plan.folds is None:
        return argv
    # The same words, judged on every window by models that saw no bar of it.
    judge = ["--folds", str(plan.folds), "--repeats", str(plan.repeats), "--out", "result.json"]
    return ["python", "-m", crossval_of(project), *argv[3:], *judge]


def pack_argv(project: Project, plan: Plan, trials: Mapping[int, Mapping[str, Value]]) -> list[str]:
    """Return the command of a run of several trials, each with its own number and parameters.

    Raises:
        ConfigError: no such recipe, or no job that does several.
    """
    commands = {number: trial_argv(project, plan, params) for number, params in trials.items()}
    module = next(iter(commands.values()))[2]
    words = json.dumps([[number, argv[3:]] for number, argv in commands.items()])
    return ["python", "-m", many_of(project), module, words]


def ray_argv(project: Project, plan: Plan, asked: Mapping[str, Any]) -> list[str]:
    """Return the command of the driver of a Ray cluster.

    Args:
        project: has the job.
        plan: of the sweep.
        asked: what the driver is asked beside the words of each trial.

    Raises:
        ConfigError: no such recipe, or no job that drives a cluster.
    """
    _, _, module, *words = trial_argv(project, plan, {})
    return ["python", "-m", driver_of(project), module, json.dumps({"words": words, **asked})]


def driver_of(project: Project) -> str:
    """Return the job that has Ray do trials, beside the one that trains.

    Raises:
        ConfigError: there is none.
    """
    return _beside(project, "many_ray", "--engine ray", "has Ray do trials")


def node_argv(project: Project, host: str, port: int, head: str | None) -> list[str]:
    """Return the command of a node of a Ray cluster; `head` is HOST:PORT, None of the head.

    Raises:
        ConfigError: no job that is one.
    """
    module = _beside(project, "ray_node", "--engine ray", "is a node of Ray")
    where = ["--host", host, "--port", str(port), *(["--head", head] if head else [])]
    return ["python", "-m", module, *where]


def many_of(project: Project) -> str:
    """Return the job that does several trials in one process, beside the one that trains.

    Raises:
        ConfigError: there is none.
    """
    return _beside(project, "many", "--pack", "does several trials in one process")


def crossval_of(project: Project) -> str:
    """Return the job that cross-validates, which lies beside the one that trains.

    Raises:
        ConfigError: there is none.
    """
    return _beside(project, "crossval", "--folds", "cross-validates")


def _beside(project: Project, name: str, option: str, does: str) -> str:
    """Return the module of this name in the package of the project's job."""
    package, dot, _ = project.job.rpartition(".")
    path = project.folder.joinpath(*package.split("."), f"{name}.py")
    if not path.is_file():
        raise ConfigError(f"{option}: {path} is not there, no job {does}", f"leave {option} out")
    return f"{package}{dot}{name}"


def fill(command: Sequence[str], params: Mapping[str, Value]) -> list[str]:
    """Put each value where ``{key}`` stands; other braces stay as they are."""
    if not params:
        return list(command)
    pattern = re.compile(r"\{(" + "|".join(map(re.escape, params)) + r")\}")
    return [pattern.sub(lambda found: text_of(params[found[1]]), word) for word in command]


def unused(command: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Return the keys that a command never uses."""
    return [key for key in keys if not any(f"{{{key}}}" in word for word in command)]


def require_used(command: Sequence[str], keys: Sequence[str]) -> None:
    """Check that a command uses each key.

    Raises:
        ConfigError: it does not use one: every trial would be the same.
    """
    missing = unused(command, keys)
    if missing:
        key = missing[0]
        raise ConfigError(
            f"{key}: the command never uses it, so that it changes nothing",
            f"write {{{key}}} where its value belongs, for example --{key} {{{key}}}",
        )
