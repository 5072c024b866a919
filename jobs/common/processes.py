"""Several processes that share one training, begun by torchrun; nothing here imports torch early.

Rank 0's output is the job's own; that of the others goes to ``ranks/N.log`` in the run's folder.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common.signals import STOPPED
from moola_core.config.sections import Recipe
from moola_core.errors import ConfigError, ProcessesError

if TYPE_CHECKING:
    import torch

    from moola_core.training.team import Team

RANK, WORLD_SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"  # as torchrun sets them
MAX_PROCESSES = 64


def processes_of(text: str | None) -> int:
    """Return how many processes were asked for.

    Raises:
        ConfigError: it is no number of processes.
    """
    number = int(text) if text and text.isdecimal() and len(text) < 6 else 1 if not text else 0
    if not 1 <= number <= MAX_PROCESSES:
        raise ConfigError(f"--processes {text}: expected 1 to {MAX_PROCESSES}")
    return number


def is_one_of_several() -> bool:
    """Return whether torchrun started this process."""
    return RANK in os.environ and WORLD_SIZE in os.environ


def check_shareable(recipe: Recipe, number: int) -> None:
    """Check that a recipe has something for each of `number` processes.

    Raises:
        ConfigError: it has not.
    """
    size = recipe.training.batch_size
    if recipe.pretrain is None:
        raise ConfigError(
            f"recipe {recipe.name}: trains on a few hundred windows, which {number} processes"
            " can't share; expected a recipe with the section pretrain. Use one GPU a run,"
            " with other seeds on the others"
        )
    windows = recipe.pretrain.windows
    least = min(windows, windows % size or size)
    if least < number:
        raise ConfigError(
            f"recipe {recipe.name}: a batch of {least} of {windows} windows for {number} processes,"
            " expected one or more each; change training.batch_size or pretrain.windows"
        )


def run_several(module: str, words: list[str], number: int, *, threads: int, run_dir: Path) -> int:
    """Run ``python -m module words`` `number` times by torchrun; return the job's exit code.

    Args:
        module: whose `main` finds itself one of several.
        words: its command line.
        number: of processes, on this machine.
        threads: of each, for what reads it before the recipe.
        run_dir: where the logs of the others are.

    Raises:
        ProcessesError: one of them was ended by a signal.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    root = str(Path(__file__).parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, *paths]))
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Of a stop and of a failure it would say in three lines what is reported here in one.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    options = ["--standalone", "--nproc-per-node", str(number), "-m", module]
    try:
        torchrun.main([*options, *words])
    except SignalException:
        return STOPPED
    except ChildFailedError as err:
        return exit_code_of_all(err.failures, number, run_dir)
    return 0


def exit_code_of_all(failures: dict[int, Any], number: int, run_dir: Path) -> int:
    """Return the exit code of the first process that failed by itself.

    Where it is not the first of all, which may have been ended before it could report, the last
    line of its log is repeated on stderr.

    Raises:
        ProcessesError: one was ended by a signal.
    """
    # SIGTERM is what torchrun ends the others with, and they may end as a stopped job does.
    ended = [one for one in failures.values() if one.exitcode not in (-signal.SIGTERM, STOPPED)]
    killed = [failure for failure in ended if failure.exitcode < 0]
    if killed:
        first = min(killed, key=lambda failure: failure.timestamp)
        raise ProcessesError(
            f"process {first.local_rank} of {number}: ended by signal {-first.exitcode}, and the"
            " others with it; resume from the last checkpoint"
        )
    first = min(ended, key=lambda failure: failure.local_rank, default=None)
    if first is None:
        return STOPPED
    log = run_dir / "ranks" / f"{first.local_rank}.log"
    if first.local_rank != 0 and log.is_file():
        print("".join(log.read_text("utf-8", "replace").splitlines()[-1:]), file=sys.stderr)
    return int(first.exitcode)


def own_log(run_dir: Path) -> None:
    """Send the output of a process that is not the first to a file of its own."""
    rank = os.environ.get(RANK, "0") if is_one_of_several() else "0"
    if rank == "0":
        return
    folder = run_dir / "ranks"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    os.close(descriptor)


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """Meet the other processes, if there are any; yields the team, and this one's own device.

    All of them leave together: one that ends while another still hears of it aborts that one.

    Raises:
        ConfigError: there are fewer GPUs than processes.
    """
    import torch
    import torch.distributed as dist

    from moola_core.training.team import ALONE, Team

    if not is_one_of_several():
        yield ALONE, device
        return
    backend = "gloo"
    if device.type == "cuda":
        index, there = int(os.environ[LOCAL_RANK]), torch.cuda.device_count()
        if index >= there:
            raise ConfigError(
                f"--processes {os.environ[WORLD_SIZE]}: this machine has {there} usable GPUs,"
                " expected one a process"
            )
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend)
    team = Team(dist.get_rank(), dist.get_world_size())
    try:
        yield team, device
        team.wait()
    finally:
        dist.destroy_process_group()
