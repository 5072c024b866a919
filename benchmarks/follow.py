"""How fast a log is followed: `follow` against ``tail -F``, over the same line, in the same run.

    python benchmarks/follow.py [--link loopback|slow] [--over shell|openssh|paramiko|local]

``shell`` has no network (a local ``sh``), ``openssh`` is OpenSSH's sshd on loopback by OpenSSH's
client, as commands reach a pod, ``paramiko`` the same server without that client, ``local`` the
embedded pod; ``slow`` puts tests/support/slow_line.py between (30 ms each way, 100 Mbit/s).
``tail`` is ``tail -F`` through our own connection, ``ssh tail`` through OpenSSH's client.

Latency: from the job's write to the line on the screen, at 200 lines a second, by turns, so that a
busy machine is as busy for each. Live: a job that writes one line a call, as fast as it can.
Catching up: a log that already exists. Commands: what a user waits for. Ends with 1 if an aim is
missed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import secrets
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import get_state, submit
from moola_remote.follow.follower import Listener, follow
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import Link
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from moola_remote.ssh.transport import Transport
from moola_remote.text.sanitize import Screen
from moola_remote.text.terminal import writer
from tests.remote.conftest import by_client
from tests.support.fakes import ShellTransport
from tests.support.masters import end_masters
from tests.support.projects import make_project
from tests.support.servers import SSHD, running_local_pod, running_openssh, ssh_options
from tests.support.slow_line import DELAY_S, slow_line

ROUNDS = 15
LINES_A_ROUND = 120
PUSHED_MB = 50
AIM_RATIO = 1.3
AIM_OVER_DELAY_MS = 10.0
AIM_LIVE = 100_000
AIM_CATCHING_UP = 200_000
WRITER = """
import os, sys, time
num_lines, pause_s = int(sys.argv[1]), float(sys.argv[2])
os.write(1, b"ready\\n")
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
    endpoint: Endpoint | None = None

    @property
    def agent(self) -> Agent:
        """Our program there."""
        return Agent(self.transport, root=self.root, python=self.python)


@contextlib.contextmanager
def place(over: str, link: str) -> Iterator[Place]:
    """Yield a server, or none, behind one of the two lines."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if over == "shell":
            root = str(folder / "root")
            yield Place(ShellTransport(folder), root, sys.executable, folder)
            return
        server = running_local_pod if over == "local" else running_openssh
        endpoint = stack.enter_context(server(folder / "server"))
        if link == "slow":
            port = stack.enter_context(slow_line(endpoint.port))
            endpoint = dataclasses.replace(endpoint, port=port)
        keep = keeping(folder / "state", 60) if over == "openssh" else None
        stack.callback(end_masters, keep)
        known_hosts = folder / "known_hosts"
        if keep:
            transport = by_client(endpoint, known_hosts, keep)
        else:
            transport = connect(endpoint, known_hosts=known_hosts)
        stack.callback(transport.close)
        where = [*("-p", str(endpoint.port)), f"{endpoint.user}@{endpoint.host}"]
        ssh = ["ssh", *ssh_options(endpoint, folder), *where]
        yield Place(transport, endpoint.root, endpoint.python, folder, ssh, endpoint)


def start(place: Place, num_lines: int, pause_s: float) -> str:
    """Start a job that reports ready, waits for its `.go` and writes; return its run id."""
    run_id = f"bench-{secrets.token_hex(4)}"
    argv = ["python", "-c", WRITER, str(num_lines), str(pause_s)]
    submit(place.agent, {"run_id": run_id, "argv": argv, "gpu": -1})
    return run_id


def by_follow(place: Place, run_id: str, on_data: OnData) -> None:
    """Run all of `follow`: frames, journal, the screen's rules, and the write to a terminal."""
    screen, agent = Screen(), place.agent
    journal = Journal(place.scratch / f"journal-{secrets.token_hex(4)}")
    with journal, Path(os.devnull).open("w", encoding="utf-8") as terminal:
        put = writer(terminal)

        def show(data: bytes) -> None:
            put(screen.text(data))
            on_data(data)

        follow(Link(agent, lambda: agent), run_id, journal, Listener(on_log=show))


def by_tail(place: Place, run_id: str, on_data: OnData) -> None:
    """``tail -F`` through our own connection."""
    # tail sees neither the end of its stdin nor of its reader.
    words = ["sh", "-c", '"$@" & cat; kill $!', "sh", *tail(place, run_id)]
    channel = place.transport.open(words)
    ending = b""
    while not ending.endswith(b"end\n"):
        piece = channel.read(1 << 16, 30)
        ending = (ending + piece)[-4:]
        on_data(piece)
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
    """Return the command line of tail, ended with its run by a timeout."""
    return ["timeout", "120", "tail", "-c", "+1", "-F", f"{place.root}/runs/{run_id}/log"]


Follower = Callable[[Place, str, OnData], None]
FOLLOWERS: dict[str, Follower] = {"follow": by_follow, "tail": by_tail, "ssh tail": by_ssh_tail}


class Clock:
    """Takes pieces of a log; knows when the first and the last came, and the age of each line."""

    def __init__(self, *, is_aging: bool = False) -> None:
        self.ready = threading.Event()
        self.ages_ms: list[float] = []
        self.num_lines = 0
        self.first_ns = 0
        self.last_ns = 0
        self._is_aging = is_aging
        self._pending = b""

    def take(self, piece: bytes) -> None:
        """Take a piece that is shown now."""
        now = time.time_ns()
        self.num_lines += piece.count(b"\n")
        self.ready.set()
        if piece == b"ready\n":
            return
        self.first_ns = self.first_ns or now
        self.last_ns = now
        if self._is_aging:
            *lines, self._pending = (self._pending + piece).split(b"\n")
            stamps = [line.split(b" ", 1)[0] for line in lines]
            self.ages_ms += [(now - int(stamp)) / 1e6 for stamp in stamps if stamp.isdigit()]

    def rate(self, num_lines: int) -> float:
        """Lines a second, from the first piece to the last."""
        assert self.num_lines == num_lines + 2, f"{self.num_lines} lines of {num_lines + 2}"
        return num_lines / max(self.last_ns - self.first_ns, 1) * 1e9


def live(place: Place, follower: Follower, num_lines: int, pause_s: float = 0.0) -> Clock:
    """Follow a job while it writes."""
    clock = Clock(is_aging=pause_s > 0)
    run_id = start(place, num_lines, pause_s)
    thread = threading.Thread(target=follower, args=(place, run_id, clock.take))
    thread.start()
    clock.ready.wait(30)
    go(place, run_id)
    thread.join()
    wait_for_end(place, run_id)
    return clock


def catching_up(place: Place, follower: Follower, num_lines: int) -> Clock:
    """Follow a job that has ended."""
    run_id = start(place, num_lines, 0.0)
    go(place, run_id)
    wait_for_end(place, run_id)
    clock = Clock()
    follower(place, run_id, clock.take)
    return clock


def go(place: Place, run_id: str) -> None:
    """Let the job write."""
    done = place.transport.run(["touch", f"{place.root}/runs/{run_id}/.go"])
    assert done.returncode == 0, done.stderr


def wait_for_end(place: Place, run_id: str) -> None:
    """Until the job's end is recorded: it writes no more."""
    while not get_state(place.agent, run_id).has_ended:
        time.sleep(0.1)


class Report:
    """Prints what was measured, and knows whether an aim was missed."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.is_missed = False

    def show(self, what: str, found: str) -> None:
        """One measurement."""
        print(f"{self.where}  {what:24} {found}", flush=True)

    def aim(self, what: str, found: str, *, is_met: bool) -> None:
        """One measurement that has an aim."""
        self.is_missed |= not is_met
        self.show(what, f"{found}: {'met' if is_met else 'MISSED'}")


def measure_latency(place: Place, link: str, report: Report) -> None:
    """Ages of lines, the followers by turns."""
    followers = {who: one for who, one in FOLLOWERS.items() if place.ssh or who != "ssh tail"}
    ages: dict[str, list[list[float]]] = {who: [] for who in followers}
    for _ in range(ROUNDS):
        for who, follower in followers.items():
            ages[who].append(live(place, follower, LINES_A_ROUND, 0.005).ages_ms)
    for who, rounds in ages.items():
        cuts = statistics.quantiles(itertools.chain(*rounds), n=100)
        found = f"p10 {cuts[9]:6.2f}   p50 {cuts[49]:6.2f}   p99 {cuts[98]:6.2f} ms"
        if link == "slow" and who == "follow":
            aim = 1000 * DELAY_S + AIM_OVER_DELAY_MS
            report.aim(f"latency {who}", f"{found} (aim {aim:.0f})", is_met=cuts[49] <= aim)
        else:
            report.show(f"latency {who}", found)
    if place.ssh and link == "loopback":
        medians = {who: [statistics.median(one) for one in ages[who]] for who in ages}
        ratios = sorted(a / b for a, b in zip(medians["follow"], medians["ssh tail"], strict=True))
        ratio = statistics.median(ratios)
        found = f"{ratio:.2f} times ssh tail, {ROUNDS} rounds: {ratios[0]:.2f} to {ratios[-1]:.2f}"
        report.aim("latency follow", f"{found} (aim {AIM_RATIO:g})", is_met=ratio <= AIM_RATIO)


def measure_rates(place: Place, link: str, report: Report, num_lines: int) -> None:
    """Lines a second, live and catching up."""
    for name, measure, aim in (
        ("live", live, AIM_LIVE),
        ("catching up", catching_up, AIM_CATCHING_UP),
    ):
        for who, follower in FOLLOWERS.items():
            if who == "ssh tail" and place.ssh is None:
                continue
            rate = measure(place, follower, num_lines).rate(num_lines)
            found = f"{rate:10,.0f} lines/s"
            if who == "follow" and link == "loopback":
                report.aim(f"{name} {who}", f"{found} (aim {aim:,})", is_met=rate >= aim)
            else:
                report.show(f"{name} {who}", found)


def measure_commands(place: Place, report: Report) -> None:
    """Measure what a user waits for: a push, and commands from their start to their end."""
    assert place.endpoint is not None
    source = place.scratch / "pushed"
    source.mkdir()
    (source / "data").write_bytes(os.urandom(PUSHED_MB * 10**6))
    taken_s = seconds(lambda: place.transport.push(source, PurePosixPath(place.root, "pushed")))
    report.show(f"push of {PUSHED_MB} MB", f"{taken_s:.2f} s, {PUSHED_MB / taken_s:.1f} MB/s")
    project = make_project(place.scratch / "project", place.scratch / "state", place.endpoint)
    for name, words in (
        ("deploy, all is new", ("deploy",)),
        ("deploy, unchanged", ("deploy",)),
        ("runs", ("runs",)),
        ("--help: start-up alone", ("--help",)),
    ):
        taken_s = seconds(lambda words=words: project.ok("--pod", "host", *words))  # type: ignore[misc]
        report.show(name, f"{taken_s:.2f} s")


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = "openssh" if SSHD.exists() else "local"
    parser.add_argument(
        "--over", choices=["shell", "openssh", "paramiko", "local"], default=default
    )
    parser.add_argument("--link", choices=["loopback", "slow"], default="loopback")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--what", nargs="*", default=["latency", "rates", "commands"])
    args = parser.parse_args()
    report = Report(f"{args.over}, {args.link}")
    print(f"load at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with place(args.over, args.link) as here:
        if "latency" in args.what:
            measure_latency(here, args.link, report)
        if "rates" in args.what:
            measure_rates(here, args.link, report, args.lines)
        if "commands" in args.what and here.endpoint is not None:
            measure_commands(here, report)
    print(f"load at the end: {os.getloadavg()[0]:.1f}")
    return int(report.is_missed)


if __name__ == "__main__":
    sys.exit(main())
