"""Be one node of a Ray cluster until the sweep on it has ended.

    python -m jobs.ray_node --host 10.0.0.5 --port 24000                          # the head
    python -m jobs.ray_node --host 10.0.0.6 --port 24100 --head 10.0.0.5:24000    # a worker

The node listens on `--port` and the 99 after it, and does one trial a GPU, or one without any. The
token of $RAY_AUTH_TOKEN has to be that of the head. A worker whose Ray processes die is started
again; so is a node that does not come up, as Ray gives up after 15 s on a busy machine. A worker
whose disk is full leaves the cluster. The driver of a head that dies ends.

Exit code 0 where the sweep ended, 20 where the node can't be kept up, 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from jobs.common.entry import exit_code_of
from jobs.common.ray_asked import NODE, SCRATCH, WORKER, finished_file, session_folder
from jobs.common.ray_room import LEAVE, ROOM_BYTES
from jobs.common.signals import STOPPED
from moola_core.errors import ConfigError, ProcessesError

STARTS = 10
OBJECTS_BYTES = 200_000_000
POLL_S = 0.5
# What `ray start` writes into a node's folder once it is up.
UP = "ray_current_cluster"
# Ray ends its own processes within 10 s; a pod that stops gives no longer either.
END_S = 8.0
# The parts of Ray that listen, by their place after the node's first port.
PORTS = (
    *("node-manager-port", "object-manager-port", "dashboard-agent-grpc-port"),
    *("runtime-env-agent-port", "dashboard-agent-listen-port", "metrics-export-port"),
)
FIRST_WORKER, LAST = 10, 99


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.ray_node",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", required=True, help="the address that others reach this node by")
    parser.add_argument("--port", required=True, type=int, help="the first of 100 ports")
    parser.add_argument("--head", metavar="HOST:PORT", help="of the cluster; none: be the head")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    return exit_code_of(lambda: _keep(arguments))


def _stop(number: int, frame: FrameType | None) -> None:
    """End what was started on the way out."""
    del number, frame
    raise SystemExit(STOPPED)


def _leave(number: int, frame: FrameType | None) -> None:
    """End, as a trial on this node found its disk full."""
    del number, frame
    raise ProcessesError(
        f"ray: not even {ROOM_BYTES >> 20} MB can be written on this node, which leaves the cluster"
    )


def _keep(arguments: argparse.Namespace) -> int:
    """Keep the node up.

    Raises:
        ConfigError: there is no token: whoever reaches the ports could run programs here.
        ProcessesError: it can't be kept up.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token" or not os.environ.get("RAY_AUTH_TOKEN"):
        raise ConfigError("ray: no token, expected RAY_AUTH_MODE=token and RAY_AUTH_TOKEN")
    if arguments.head:
        signal.signal(LEAVE, _leave)
    finished = finished_file(Path.cwd())
    folder = session_folder(arguments.port)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for number in range(STARTS):
            words = start_words(arguments, num_slots())
            code = _run(words, finished, folder, is_worker=arguments.head is not None)
            if finished.exists():
                return 0
            print(f"ray start ended with {code}, start {number + 1} of {STARTS}", flush=True)
            if arguments.head is None and (folder / UP).exists():
                break  # what the cluster knew is lost, and with it the driver
            time.sleep(1.0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    raise ProcessesError("ray: the node can't be kept up, see the lines before")


def _run(words: list[str], finished: Path, folder: Path, *, is_worker: bool) -> int:
    """Run ``ray start`` until it ends or the sweep does; its exit code."""
    paths = [str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {
        **os.environ,
        NODE: str(Path.cwd()),
        SCRATCH: str(folder),
        **({WORKER: str(os.getpid())} if is_worker else {}),
        "PYTHONPATH": os.pathsep.join(paths),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # 30 s otherwise, for what has ended
    }
    process = subprocess.Popen(words, env=env)
    try:
        while process.poll() is None and not finished.exists():
            time.sleep(POLL_S)
    finally:
        code = _end(process)
    return code


def _end(process: subprocess.Popen[bytes]) -> int:
    """End ``ray start``, which ends what it has started."""
    process.terminate()
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def num_slots() -> int:
    """Return how many trials the node does at once: one a GPU, else one."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return max(1, len([one for one in shown.split(",") if one]))
    return max(1, len(list(Path("/proc/driver/nvidia/gpus").glob("*"))))


def start_words(arguments: argparse.Namespace, slots: int) -> list[str]:
    """Return the command line of ``ray start``."""
    first = arguments.port
    where = ["--head", f"--port={first}", "--include-dashboard=false"]
    if arguments.head:
        where = [f"--address={arguments.head}"]
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", *where, "--block"),
        *(f"--node-ip-address={arguments.host}", f"--temp-dir={session_folder(first)}"),
        *(f"--{name}={first + place}" for place, name in enumerate(PORTS, 1)),
        f"--min-worker-port={first + FIRST_WORKER}",
        f"--max-worker-port={first + LAST}",
        *("--disable-usage-stats", f"--num-cpus={slots}"),
        f"--object-store-memory={OBJECTS_BYTES}",
    ]


if __name__ == "__main__":
    sys.exit(main())
