"""Start a run on a pod."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.agent_client import verbs
from moola_remote.config.recipe import check_recipe, check_shared, recipe_path
from moola_remote.config.settings import TABLE, PodConfig, Project, base_of
from moola_remote.deploy.code_store import Archive
from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.pods.pod import Pod
from moola_remote.runs.local_state import Hook, LastSeen, notes_of

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed
    from moola_remote.protocol.spec import Spec
    from moola_remote.protocol.state import RunState


@dataclass(frozen=True)
class RunRequest:
    """What is asked of a run beside its command.

    `label` is a word for its id; `on_finish` and `on_finish_pod` are commands for its end, here and
    on the pod: None takes the project's. `retry` is how often it is begun again where its pod
    was lost.
    """

    label: str
    recipe: str | None = None
    gpu: int | None = None
    gpus: int | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict)
    max_time_s: float | None = None
    max_cost_usd: float | None = None
    then: str | None = None
    retry: int = 0
    replay_of: str | None = None
    on_finish: str | None = None
    on_finish_pod: str | None = None


def keep_code(pod: Pod, deployed: Deployed) -> str | None:
    """Keep the code on this laptop, so that a run can be repeated when the pod is gone.

    Returns:
        Why it can't be kept, which is no reason not to start the run; None if it is.
    """
    try:
        if deployed.plan.code.parts:
            Archive(pod.laptop.snapshots).keep(deployed.plan.code)
    except ConfigError as err:
        return str(err)
    return None


def environment_of(deployed: Deployed, asked: RunRequest) -> dict[str, str]:
    """Return the variables of a job: what was asked for, and where the project's packages lie."""
    paths = ":".join(deployed.plan.dependencies.paths)
    return {**({"PYTHONPATH": paths} if paths else {}), **asked.env}


def new_spec(
    pod: Pod, deployed: Deployed, asked: RunRequest, run_id: str, argv: Sequence[str], **more: Any
) -> Spec:
    """Return the spec of a run on what was deployed to its pod.

    Args:
        pod: where it runs.
        deployed: what is there.
        asked: of it.
        run_id: of the run.
        argv: its command.
        more: further keys of docs/protocol.md.

    Raises:
        ConfigError: a value is out of bounds, or a limit can't be kept.
    """
    from moola_remote.protocol.spec import Spec

    return Spec.new(
        run_id,
        argv,
        trees=deployed.trees,
        recipe=asked.recipe,
        source=deployed.plan.source,
        machine=deployed.machine,
        price_per_hour=pod.endpoint.price_per_hour,
        limits=limits_of(pod, asked),
        env=environment_of(deployed, asked),
        packages=deployed.environment.packages,
        **more,
    )


def submit(pod: Pod, spec: Spec, asked: RunRequest) -> RunState:
    """Record a run on this laptop, then start it on the pod.

    Raises:
        UnreachableError: the connection was lost; the run may have been started.
        MoolaError: the pod refuses.
    """
    run_id, notes = spec.run_id, notes_of(pod, spec.run_id)
    notes.keep_spec({**spec.whole, "secret_names": sorted(asked.secrets)})
    on_finish = asked.on_finish or pod.project.on_finish.laptop
    if on_finish:
        notes.keep_hook(Hook(on_finish, str(pod.project.folder)))
    try:
        state = verbs.submit(pod.agent, spec.whole, asked.secrets).state
    except UnreachableError as err:
        perhaps = f"run {run_id}: may have been started"
        raise UnreachableError(f"{perhaps}, {err.message}", f"{pod.command} runs") from err
    notes.see(LastSeen(time.time(), state.state))
    notes.keep_state(state)
    return state


def limits_of(pod: Pod, asked: RunRequest) -> dict[str, float | None]:
    """Return the limits of a spec.

    Raises:
        ConfigError: a cost limit, and the price of the pod isn't known.
    """
    if asked.max_cost_usd is not None:
        require_price(pod, "--max-cost")
    limits = {"max_time_s": asked.max_time_s, "max_cost_usd": asked.max_cost_usd}
    return {**limits, "idle_stop_s": None}


def merged_limits(pod: Pod, asked: RunRequest, earlier: Any) -> dict[str, Any]:
    """Return the limits of a resumed run: what is asked now, else those of its parent.

    Args:
        pod: where it resumes.
        asked: its limits.
        earlier: ``limits`` of its parent's spec.

    Raises:
        ConfigError: a cost limit, asked or taken over, and the price of the pod isn't known.
    """
    now = {key: limit for key, limit in limits_of(pod, asked).items() if limit is not None}
    limits = {**(earlier if isinstance(earlier, dict) else {}), **now}
    if limits.get("max_cost_usd"):
        require_price(pod, "its run was begun with --max-cost")
    return limits


def require_price(pod: Pod, limit: str) -> None:
    """Raise a ConfigError where a cost limit would end nothing, as the pod has no known price."""
    if not pod.endpoint.price_per_hour:
        raise ConfigError(
            f"{limit}: the price of pod {pod.name} is not known",
            f"write price_per_hour into configs/pods/{pod.name}.yaml",
        )


def limits_past_the_end(pod: Pod, asked: RunRequest, left_s: float | None) -> list[str]:
    """Return the options of limits that a rented pod will not reach, as it stops itself before.

    Args:
        pod: where the run is started.
        asked: its limits.
        left_s: seconds until the pod stops itself; None where it has no end.
    """
    price = pod.endpoint.price_per_hour
    cost_s = 3600 * asked.max_cost_usd / price if asked.max_cost_usd and price else 0.0
    limits = {"--max-time": asked.max_time_s or 0.0, "--max-cost": cost_s}
    return [option for option, limit_s in limits.items() if left_s is not None and limit_s > left_s]


@dataclass(frozen=True)
class TrainOptions:
    """What `train` changes in a recipe; None keeps the recipe's value."""

    epochs: int | None = None
    seed: int | None = None
    use_crf: bool = False
    settings: tuple[str, ...] = ()


def check_train(
    project: Project, recipe: str, settings: Sequence[str], gpus: int | None = None
) -> list[str]:
    """Check what `train` is asked for on this machine: before anything is sent, or paid for.

    Returns:
        What looks wrong and may be right.

    Raises:
        ConfigError: the project has nothing that `train` runs, or the job would refuse its recipe,
            or its recipe has nothing for several GPUs.
    """
    if project.file is None:
        raise ConfigError(
            f"{project.folder}: `train` runs the `job` of {TABLE} with a recipe, and there is none",
            "a script runs with: moola-remote run -- python train.py; settings: moola-remote init",
        )
    notes = check_recipe(project, recipe, settings)
    check_shared(project, recipe, gpus, settings)
    return notes


def check_gpus(config: PodConfig, gpus: int | None) -> None:
    """Check that a pod which would be rented for it has so many GPUs.

    Raises:
        ConfigError: it has fewer.
    """
    rented = config.runpod.gpu_count if config.runpod else None
    if rented is not None and gpus is not None and gpus > rented:
        raise ConfigError(
            f"--gpus {gpus}: pod {config.name} is rented with gpu_count {rented}",
            f"write gpu_count: {gpus} into configs/pods/{base_of(config.name)}.yaml",
        )


def train_argv(project: Project, recipe: str, options: TrainOptions) -> list[str]:
    """Return the command line of a training run, as the pod will see it.

    Raises:
        ConfigError: no such recipe.
    """
    config = project.recipes / recipe_path(project, recipe).name
    return [
        *("python", "-m", project.job, "--config", config.as_posix()),
        *(["--epochs", str(options.epochs)] if options.epochs is not None else []),
        *(["--seed", str(options.seed)] if options.seed is not None else []),
        *(["--use-crf"] if options.use_crf else []),
        *(word for setting in options.settings for word in ("--set", setting)),
    ]
