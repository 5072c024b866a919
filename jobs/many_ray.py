"""Run the trials of a sweep over a Ray cluster: Ray Tune, with Optuna's choice of parameters.

    python -m jobs.many_ray jobs.train ASKED

ASKED is JSON, see `jobs.common.ray_asked`. A trial is what its job does with its words by itself,
as in `jobs.many`, and leaves the same in ``trials/NUMBER`` of this run's folder, on whatever node
it ran; beside it
``params.json`` has its parameters and how often it was begun. The cluster is that of $RAY_ADDRESS;
this process has to run on one of its machines.

Nodes that are ours end with the sweep, also where this process is stopped, or is killed for its
memory: the one that does the work is a child of a small one, which ends them then.

Exit code 0 where each trial has ended, whatever its own; 143 after SIGTERM, 128 and the number of
the signal after another.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from jobs.common.entry import exit_code_of, leave
from jobs.common.ray_asked import Asked, read_asked, session_folder
from jobs.common.signals import STOPPED
from moola_core.errors import ConfigError, ProcessesError

# A busy machine needs a minute for a head.
JOIN_S = 300.0


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.many_ray",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", help="the module of each trial, for example jobs.train")
    parser.add_argument("asked", help="JSON: words, spaces, goal, and how many")
    parser.add_argument(
        "--run-dir", default=os.environ.get("MOOLA_RUN_DIR"), help="default: $MOOLA_RUN_DIR"
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    return exit_code_of(lambda: guard(arguments))


def _stop(number: int, frame: FrameType | None) -> None:
    """End at once: Ray ends the trials of a driver that is gone."""
    del number, frame
    leave(STOPPED)


def guard(arguments: argparse.Namespace) -> int:
    """Sweep in a child process, and end the nodes that are ours where a signal ended it.

    Raises:
        ConfigError: what is asked for is not as it should be, or there is no folder for the run.
    """
    asked = read_asked(arguments.asked)
    if not arguments.run_dir:
        raise ConfigError("run folder: not given, expected --run-dir or MOOLA_RUN_DIR")
    child = os.fork()
    if child == 0:
        leave(exit_code_of(lambda: sweep(arguments.job, asked, Path(arguments.run_dir).absolute())))
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.signal(signal.SIGTERM, _stop)
    if received:
        code = STOPPED  # Ray aborts its own process then
    elif code < 0:
        code = 128 - code
    if asked.is_own and code >= 128:
        print(f"the driver was ended by a signal ({code}): ending its nodes", flush=True)
        _end_own_nodes()
    return code


def _end_own_nodes() -> None:
    from jobs.common.ray_tuning import end_nodes

    if _is_connected(os.environ.get("RAY_ADDRESS", ""), {}):
        end_nodes()


def sweep(job: str, asked: Asked, run_dir: Path) -> int:
    """Connect to the cluster, have Tune do the trials, end the nodes that are ours.

    Raises:
        ConfigError: Ray is not installed.
        ProcessesError: the cluster has no node for a trial.
    """
    try:
        import ray

        from jobs.common.ray_tuning import end_nodes, tune
    except ModuleNotFoundError as err:
        raise ConfigError(
            f"{err.name}: not installed on this pod; add ray[tune] and optuna to the requirements"
        ) from err
    address = os.environ.get("RAY_ADDRESS", "")
    began = time.monotonic()
    _wait_for(lambda: _is_answering(address), f"nothing answers at {address or '$RAY_ADDRESS'}")
    # Nodes of ours have the code; others get what this run has.
    names = [*asked.env, "MOOLA_RUN_ID"]
    given = {name: os.environ[name] for name in names if name in os.environ}
    runtime = {} if asked.is_own else {"working_dir": str(Path.cwd()), "env_vars": given}
    _wait_for(lambda: _is_connected(address, runtime), f"no connection to {address}")
    # Nodes that come later take part, too.
    _wait_for(lambda: bool(ray.cluster_resources().get("CPU")), "no node with a processor")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    print(
        f"ray {ray.__version__}: {len(nodes)} nodes, {time.monotonic() - began:.1f} s", flush=True
    )
    scratch = session_folder(int(address.rpartition(":")[2])) if asked.is_own else None
    try:
        tune(job, asked, run_dir, scratch)
    finally:
        if asked.is_own:
            end_nodes()
    return 0


def _wait_for(is_there: Callable[[], bool], otherwise: str) -> None:
    """Wait for a part of the cluster.

    Raises:
        ProcessesError: it is not there in time.
    """
    deadline = time.monotonic() + JOIN_S
    while not is_there():
        if time.monotonic() > deadline:
            raise ProcessesError(f"ray: {otherwise}, after {JOIN_S:.0f} s")
        time.sleep(0.5)


def _is_answering(address: str) -> bool:
    """Return whether something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5.0):
            return True
    except (OSError, ValueError):
        return False


def _is_connected(address: str, runtime: Mapping[str, Any]) -> bool:
    """Connect; return False where a part of the head is not up yet.

    Raises:
        ProcessesError: the token is not that of the cluster.
    """
    import ray

    try:
        ray.init(
            address=address,
            _node_ip_address=os.environ.get("MOOLA_RAY_HOST"),
            log_to_driver=False,
            runtime_env=dict(runtime) or None,
        )
    except ray.exceptions.AuthenticationError as err:
        raise ProcessesError(f"ray: {address} refuses the token of $RAY_AUTH_TOKEN") from err
    except ConnectionError as err:
        print(f"{err}; trying again", flush=True)
        return False
    return True


if __name__ == "__main__":
    leave(main())
