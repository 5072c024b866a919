"""How fast a log is followed: `follow` against ``tail -F``, over the same line, in the same run.

    python benchmarks/follow.py [--over shell|openssh|local] [--lines 200000]

``shell`` has no network (a local ``sh``), ``openssh`` is OpenSSH's sshd on loopback, ``local`` the
embedded pod. ``tail`` is ``tail -F`` through our own connection, ``ssh tail`` through OpenSSH's
client. Latency: from the job's write to the listener, at 200 lines a second. Live: a job that
writes one line a call, as fast as it can. Catching up: a log that is there already.
"""

from __future__ import annotations

import argparse
import secrets
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from moola_remote.follow import Journal, Link, Listener, follow
from moola_remote.runs import Agent, get_state, submit
from moola_remote.transport import Transport, connect
from tests.remote.fakes import ShellTransport
from tests.servers import SSHD, running_local_pod, running_openssh, ssh_options

WRITER = """
import os, sys, time
num_lines, pause_s = int(sys.argv[1]), float(sys.argv[2])
while not os.path.exists(os.environ["MOOLA_RUN_DIR"] + "/.go"):
    time.sleep(0.01)
for number in range(num_lines):
    os.write(1, b"%d epoch 12 batch 345 loss 0.12345 tasks 0.1 0.2 0.3\\n" % time.time_ns())
    if pause_s:
        time.sleep(pause_s)
os.write(1, b"end\\n")
"""

OnData = Callable[[bytes], None]


@dataclass(frozen=True)
class Place:
    """Where a log is followed: a connection, the pod's root, and OpenSSH's command for the same."""

    transport: Transport
    root: str
    python: str
    scratch: Path
    ssh: list[str] | None = None

    @property
    def agent(self) -> Agent:
        """Our program there."""
        return Agent(self.transport, root=self.root, python=self.python)


@contextmanager
def place(over: str) -> Iterator[Place]:
    """One of the three lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if over == "shell":
            root = str(folder / "root")
            yield Place(ShellTransport(folder), root, sys.executable, folder)
            return
        server = running_openssh if over == "openssh" else running_local_pod
        with server(folder / "server") as endpoint:
            transport = connect(endpoint, known_hosts=folder / "known_hosts")
            options = ssh_options(endpoint, folder)
            where = [*("-p", str(endpoint.port)), f"{endpoint.user}@{endpoint.host}"]
            ssh = ["ssh", *options, *where]
            try:
                yield Place(transport, endpoint.root, endpoint.python, folder, ssh)
            finally:
                transport.close()


def start(place: Place, num_lines: int, pause_s: float) -> str:
    """A job that waits for its `.go` and writes; its run id."""
    run_id = f"bench-{secrets.token_hex(4)}"
    argv = ["python", "-c", WRITER, str(num_lines), str(pause_s)]
    submit(place.agent, {"run_id": run_id, "argv": argv, "gpu": -1})
    while get_state(place.agent, run_id).state != "RUNNING":
        time.sleep(0.05)
    return run_id


def by_follow(place: Place, run_id: str, on_data: OnData) -> None:
    """The whole of `follow`: frames, journal, listener."""
    with Journal(place.scratch / f"journal-{secrets.token_hex(4)}") as journal:
        agent = place.agent
        follow(Link(agent, lambda: agent), run_id, journal, Listener(on_log=on_data))


def by_tail(place: Place, run_id: str, on_data: OnData) -> None:
    """``tail -F`` through our own connection."""
    channel = place.transport.open(tail(place, run_id))
    ending = b""
    while not ending.endswith(b"end\n"):
        piece = channel.read(1 << 16, 30)
        ending = (ending + piece)[-4:]
        on_data(piece)
    # tail sees neither the end of its stdin nor of its reader.
    channel.close_stdin()


def by_ssh_tail(place: Place, run_id: str, on_data: OnData) -> None:
    """``ssh HOST tail -F``, as one would type it."""
    assert place.ssh is not None
    command = subprocess.list2cmdline(tail(place, run_id))
    ending = b""
    with subprocess.Popen([*place.ssh, command], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        while not ending.endswith(b"end\n"):
            select.select([child.stdout], [], [], 30)
            piece = child.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            ending = (ending + piece)[-4:]
            on_data(piece)
        child.kill()


def tail(place: Place, run_id: str) -> list[str]:
    """The command line of tail, ended with its run by a timeout."""
    return ["timeout", "120", "tail", "-c", "+1", "-F", f"{place.root}/runs/{run_id}/log"]


class Clock:
    """Takes pieces of a log; knows the age of each line, and when the last came."""

    def __init__(self) -> None:
        self.ages_ms: list[float] = []
        self.num_lines = 0
        self.first_ns = 0
        self.last_ns = 0
        self._pending = b""

    def take(self, piece: bytes) -> None:
        """Every line of it, with its age."""
        now = time.time_ns()
        *lines, self._pending = (self._pending + piece).split(b"\n")
        for line in lines:
            if line != b"end":
                self.ages_ms.append((now - int(line.split(b" ", 1)[0])) / 1e6)
        self.count(piece)

    def count(self, piece: bytes) -> None:
        """Only how many lines there were."""
        self.last_ns = time.time_ns()
        self.first_ns = self.first_ns or self.last_ns
        self.num_lines += piece.count(b"\n")


Follower = Callable[[Place, str, OnData], None]


def latency(place: Place, follower: Follower) -> str:
    """The age of lines when they are shown: median and 99%."""
    run_id = start(place, 600, 0.005)
    clock = Clock()
    thread = threading.Thread(target=follower, args=(place, run_id, clock.take))
    thread.start()
    time.sleep(1.0)  # the follower is at work when the first line comes
    go(place, run_id)
    thread.join()
    wait_for_end(place, run_id)
    cuts = statistics.quantiles(clock.ages_ms, n=100)
    return f"p50 {cuts[49]:6.2f} ms   p99 {cuts[98]:6.2f} ms"


def live(place: Place, follower: Follower, num_lines: int) -> str:
    """Lines a second of a job that writes as fast as it can."""
    run_id = start(place, num_lines, 0.0)
    clock = Clock()
    thread = threading.Thread(target=follower, args=(place, run_id, clock.count))
    thread.start()
    time.sleep(1.0)
    go(place, run_id)
    thread.join()
    wait_for_end(place, run_id)
    return rate(clock, num_lines)


def catching_up(place: Place, follower: Follower, num_lines: int) -> str:
    """Lines a second of a log that is there already."""
    run_id = start(place, num_lines, 0.0)
    go(place, run_id)
    wait_for_end(place, run_id)
    clock = Clock()
    follower(place, run_id, clock.count)
    return rate(clock, num_lines)


def go(place: Place, run_id: str) -> None:
    """Let the job write."""
    done = place.transport.run(["touch", f"{place.root}/runs/{run_id}/.go"])
    assert done.returncode == 0, done.stderr


def wait_for_end(place: Place, run_id: str) -> None:
    """Until the job's end is recorded: it writes no more."""
    while not get_state(place.agent, run_id).has_ended:
        time.sleep(0.1)


def rate(clock: Clock, num_lines: int) -> str:
    """Lines a second, from the first piece to the last."""
    assert clock.num_lines == num_lines + 1, f"{clock.num_lines} lines of {num_lines + 1}"
    return f"{num_lines / max(clock.last_ns - clock.first_ns, 1) * 1e9:10,.0f} lines/s"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = "openssh" if SSHD.exists() else "local"
    parser.add_argument("--over", choices=["shell", "openssh", "local"], default=default)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--what", nargs="*", default=["latency", "live", "catching up"])
    args = parser.parse_args()
    measures = {
        "latency": latency,
        "live": partial(live, num_lines=args.lines),
        "catching up": partial(catching_up, num_lines=args.lines),
    }
    with place(args.over) as here:
        followers: dict[str, Follower] = {"follow": by_follow, "tail": by_tail}
        if here.ssh is not None:
            followers["ssh tail"] = by_ssh_tail
        for name in args.what:
            for who, follower in followers.items():
                print(
                    f"{args.over:8} {name:12} {who:9} {measures[name](here, follower)}", flush=True
                )


if __name__ == "__main__":
    main()
