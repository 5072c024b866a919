"""Ray Tune over the trials of a sweep: their files are handed to the driver's node as they grow.

No file system is shared between nodes, and none is needed: what a trial has written, checkpoints
among it, goes to the `Keeper` every few seconds. A trial whose node was lost gets it back wherever
it is begun again, and resumes from its newest checkpoint.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import ray
from ray import tune as ray_tune
from ray.tune.search.optuna import OptunaSearch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.common.ray_asked import NODE, SCRATCH, Asked, finished_file, goal_of, read_asked
from jobs.common.ray_keeper import Keeper, files_of
from jobs.common.ray_room import do_with_room
from jobs.common.trial import END
from moola_core.errors import ProcessesError

HAND_OVER_S = 2.0
GOAL = "goal"


class HandOver:
    """Sends a folder's files to the keeper while a trial writes them, and once at its end."""

    def __init__(self, keeper: Any, number: int, folder: Path) -> None:
        self._keeper, self._number, self._folder = keeper, number, folder
        self._sent: dict[str, tuple[int, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> HandOver:
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Send what is left, and see it arrive."""
        self._ended.set()
        self._thread.join()
        self._send()

    def _work(self) -> None:
        while not self._ended.wait(HAND_OVER_S):
            self._send()

    def _send(self) -> None:
        names, changed = [], {}
        for path in files_of(self._folder):
            name = str(path.relative_to(self._folder))
            with suppress(FileNotFoundError):  # an old checkpoint, dropped meanwhile
                status = path.stat()
                mark = (status.st_mtime_ns, status.st_size)
                if self._sent.get(name) != mark:
                    changed[name] = path.read_bytes()
                    self._sent[name] = mark
                names.append(name)
        ray.get(self._keeper.put.remote(self._number, names, changed))


class RayTrial(ray_tune.Trainable):  # type: ignore[misc]
    """An actor that does one trial after another; what torch takes to start is paid once."""

    def setup(self, config: dict[str, Any]) -> None:
        """Take what is asked for; relative paths are those of the code."""
        if NODE in os.environ:
            os.chdir(os.environ[NODE])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another trial's parameters."""
        self._asked = read_asked(new_config["asked"])
        self._job, self._keeper = new_config["job"], new_config["keeper"]
        self._data_dir = new_config["data_dir"]
        self._params = {key: new_config[key] for key in self._asked.spaces}
        return True

    def step(self) -> dict[str, Any]:
        """Do the whole trial; a job that fails by itself is not begun again."""
        node = ray.util.get_node_ip_address()
        begin = self._keeper.begin.remote(self.trial_id, self._params, node)
        number, files = ray.get(begin)
        with tempfile.TemporaryDirectory(prefix="trial-", dir=os.environ.get(SCRATCH)) as name:
            folder = Path(name) / str(number)
            for one, content in files.items():
                path = folder / one
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            folder.mkdir(exist_ok=True)
            if not (folder / END).exists():  # else its process was lost between that and its report
                self._do(number, folder)
            value = goal_of(folder / "result.json", self._asked.goal)
            return {GOAL: value, "number": number, "done": True}

    def _do(self, number: int, folder: Path) -> None:
        """Run the job in the trial's folder, from the newest checkpoint that is there.

        Raises:
            ProcessesError: it was stopped, as its node is, or the disk there is full.
        """
        if "MOOLA_DATA_DIR" not in os.environ and self._data_dir:
            os.environ["MOOLA_DATA_DIR"] = self._data_dir
        words = self._asked.argv(self._params)
        with HandOver(self._keeper, number, folder):
            is_again = do_with_room(self._job, words, folder)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the job's own handler was for the job
        if is_again:
            raise ProcessesError(f"trial {number}: stopped with its node, or no room there")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the keeper has it."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """Load nothing."""


class Search(OptunaSearch):  # type: ignore[misc]
    """OptunaSearch that records a trial without a finite goal as failed, not as running."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take the end of a trial."""
        is_bad = result is not None and not math.isfinite(result.get(GOAL, math.nan))
        super().on_trial_complete(trial_id, None if is_bad else result, error or is_bad)


class Printer(ray_tune.Callback):  # type: ignore[misc]
    """Prints a line about each trial that ends."""

    def __init__(self, trials: int) -> None:
        self._trials, self._ended = trials, 0

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Print how it ended."""
        del iteration, trials, info
        self._ended += 1
        result = trial.last_result
        print(
            f"trial {result.get('number')}: {GOAL} {result.get(GOAL):.4g}, "
            f"{self._ended} of {self._trials}",
            flush=True,
        )

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Print that it was lost."""
        del iteration, trials, info
        print(f"trial of id {trial.trial_id}: lost, see {trial.error_file}", flush=True)


def tune(job: str, asked: Asked, run_dir: Path, scratch: Path | None) -> None:
    """Do the trials.

    Args:
        job: the module of each.
        asked: of them.
        run_dir: the folder of this run.
        scratch: a folder for what Tune itself writes; None is the system's.
    """
    here = ray.get_runtime_context().get_node_id()
    keeper = (
        ray.remote(Keeper)
        .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False))
        .remote(str(run_dir), asked.first)
    )
    spaces = {
        key: optuna.distributions.json_to_distribution(text) for key, text in asked.spaces.items()
    }
    search = Search(
        spaces,
        metric=GOAL,
        mode=asked.mode,
        points_to_evaluate=asked.points or None,
        sampler=optuna.samplers.TPESampler(seed=asked.seed, constant_liar=True),
    )
    needs = {"cpu": 1, "gpu": 1} if ray.cluster_resources().get("GPU") else {"cpu": 1}
    fixed = {
        "asked": asked.model_dump_json(),
        "job": job,
        "keeper": keeper,
        "data_dir": os.environ.get("MOOLA_DATA_DIR"),
    }
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    storage = tempfile.mkdtemp(prefix="tune-", dir=scratch)
    try:
        ray_tune.Tuner(
            ray_tune.with_resources(RayTrial, needs),
            param_space=fixed,
            tune_config=ray_tune.TuneConfig(
                search_alg=search, num_samples=asked.trials, reuse_actors=True
            ),
            run_config=ray_tune.RunConfig(
                name="sweep",
                storage_path=storage,
                verbose=0,
                failure_config=ray_tune.FailureConfig(max_failures=asked.max_failures),
                callbacks=[Printer(asked.trials)],
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def end_nodes() -> None:
    """Have each node that jobs.ray_node keeps end by itself, this one last."""
    here = ray.get_runtime_context().get_node_id()
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    for node in sorted(nodes, key=lambda one: one == here):
        place = NodeAffinitySchedulingStrategy(node, soft=False)
        with suppress(ray.exceptions.RayError):
            asked = (
                ray.remote(_finish)
                .options(num_cpus=0, max_retries=0, scheduling_strategy=place)
                .remote()
            )
            ray.get(asked, timeout=30)


def _finish() -> None:
    if NODE in os.environ:
        finished_file(Path(os.environ[NODE])).touch()
