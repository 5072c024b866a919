"""A line that breaks while something is sent, fetched or started: the command goes on by itself."""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from moola_remote.cli.app import App
from moola_remote.errors import UnreachableError
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from tests.e2e.conftest import end_runs
from tests.support.lanes import HANGS_S
from tests.support.lines import Line
from tests.support.masters import end_masters
from tests.support.pods import wait_until
from tests.support.projects import NOWHERE, PROGRAM, Project, make_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]
MEGABYTE = 10**6
NUM_FILES = 8
# Of those that went through the line before it broke, so many have arrived: only the others are
# sent again. Had the second try begun anew, all were.
NUM_SENT, NUM_WHOLE = 6, 4
MOST = (NUM_SENT + NUM_FILES - NUM_WHOLE + 1) * MEGABYTE


# OpenSSH connects to the first, as it stays; paramiko to the second.
WAYS = {"openssh_server": 300, "local_pod": 0}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest) -> Endpoint:
    """Each kind of server in turn."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def line(server: Endpoint) -> Iterator[Line]:
    made = Line(server.port)
    yield made
    made.cut()


@pytest.fixture
def project(
    server: Endpoint, line: Line, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A project whose pod is behind the line."""
    state = tmp_path / "state"
    made = make_project(tmp_path / "project", state, replace(server, port=line.port), "host")
    keep = WAYS[request.node.callspec.params["server"]]
    settings = made.folder / "pyproject.toml"
    text = settings.read_text().replace('pod = "host"', f'pod = "host"\nkeep_connection_s = {keep}')
    settings.write_text(text)
    yield made
    end_runs(server)
    end_masters(keeping(state, 1))


def is_silent(line: Line) -> bool:
    return line.num_moved > line.silent_after


def num_whole(folder: Path, pattern: str) -> int:
    """How many files have arrived as they are."""
    return sum(path.stat().st_size == MEGABYTE for path in folder.glob(pattern))


def interrupt(line: Line, server: Endpoint, command: subprocess.Popen[str]) -> None:
    """Reset what is connected, and let nobody in before two have been turned away."""
    wait_until(lambda: is_silent(line))
    line.silent_after, line.target = float("inf"), NOWHERE.port
    before = line.num_connections
    line.drop()
    line.speak()
    wait_until(lambda: line.num_connections >= before + 2 or command.poll() is not None)
    line.target = server.port


def test_a_deploy_goes_on_after_the_line_broke(
    project: Project, line: Line, server: Endpoint
) -> None:
    project.ok("deploy")
    for number in range(NUM_FILES):
        (project.folder / f"{number}.bin").write_bytes(os.urandom(MEGABYTE))
    before = line.num_moved
    line.silent_after = before + NUM_SENT * MEGABYTE
    with project.running(PROGRAM, "deploy") as sending:
        # What has gone through the line may still wait to be written, and would be lost with it.
        whole = partial(num_whole, Path(server.root, "code"), ".incoming-*/*.bin")
        wait_until(lambda: whole() >= NUM_WHOLE)
        interrupt(line, server, sending)
        _, talk = sending.communicate(timeout=HANGS_S)
    assert sending.returncode == 0, talk
    assert "trying again" in talk
    assert "Traceback" not in talk
    assert line.num_moved - before < MOST
    assert "nothing to send" in project.ok("deploy")


def test_a_fetch_goes_on_after_the_line_broke(
    project: Project, line: Line, server: Endpoint
) -> None:
    numbers = " ".join(map(str, range(1, NUM_FILES + 1)))
    writes = (
        f'cd "$MOOLA_RUN_DIR"; for n in {numbers}; do head -c {MEGABYTE} /dev/urandom >$n; done'
    )
    project.ok("run", "--", "sh", "-c", writes)
    before = line.num_moved
    line.silent_after = before + NUM_SENT * MEGABYTE
    with project.running(PROGRAM, "fetch", "all") as fetching:
        whole = partial(num_whole, project.folder / "results", ".staging-*/[1-8]")
        wait_until(lambda: whole() >= NUM_WHOLE)
        interrupt(line, server, fetching)
        out, talk = fetching.communicate(timeout=HANGS_S)
    assert fetching.returncode == 0, talk
    assert "trying again" in talk
    here = Path(out.splitlines()[0])
    for number in range(1, NUM_FILES + 1):
        far = Path(server.root, "runs", here.name, str(number))
        assert (here / far.name).read_bytes() == far.read_bytes()
    assert line.num_moved - before < MOST


def test_a_run_is_started_once_though_the_line_broke(
    project: Project, line: Line, server: Endpoint
) -> None:
    project.ok("deploy")
    known = {run["run_id"] for run in project.json("runs")}
    before = line.num_moved
    project.ok("deploy")
    # Past what a deploy asks that sends nothing, and in the middle of what the start is asked with.
    line.silent_after = 2 * line.num_moved - before + 50_000
    job = ("--env", f"WORDS={os.urandom(50_000).hex()}", "--", "sh", "-c", "echo ${#WORDS}")
    with project.running(PROGRAM, "run", *job) as starting:
        interrupt(line, server, starting)
        out, talk = starting.communicate(timeout=HANGS_S)
    assert (starting.returncode, out) == (0, "100000\n"), talk
    assert "may have been started" in talk
    (run,) = [run for run in project.json("runs") if run["run_id"] not in known]
    assert run["state"] == "SUCCEEDED"


class Greeter(socketserver.BaseRequestHandler):
    """What runs on the pod, behind a port."""

    def handle(self) -> None:
        self.request.sendall(b"hello")


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as caller:
        return caller.recv(5)


def test_a_port_is_forwarded_again_after_the_line_broke(project: Project, line: Line) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Greeter) as there:
        threading.Thread(target=there.serve_forever, args=(0.05,)).start()
        with socket.create_server(("127.0.0.1", 0)) as probe:
            here = probe.getsockname()[1]
        ports = f"{here}:{there.server_address[1]}"
        try:
            with project.running(PROGRAM, "forward", ports) as forwarding:
                assert forwarding.stdout
                assert forwarding.stderr
                for _ in range(2):
                    assert forwarding.stdout.readline().startswith(f"http://127.0.0.1:{here} is ")
                    assert greeting(here) == b"hello"
                    line.drop()
                assert any("trying again" in said for said in forwarding.stderr)
                forwarding.send_signal(signal.SIGINT)
                _, talk = forwarding.communicate(timeout=HANGS_S)
                assert (forwarding.returncode, "Traceback" in talk) == (0, False)
        finally:
            there.shutdown()


@pytest.mark.parametrize("server", ["openssh_server"], indirect=True)
def test_ctrl_c_ends_the_trying(project: Project, line: Line) -> None:
    project.ok("deploy")
    (project.folder / "new.bin").write_bytes(os.urandom(MEGABYTE))
    line.silent_after = line.num_moved + MEGABYTE // 2
    with project.running(PROGRAM, "deploy") as sending:
        wait_until(lambda: is_silent(line))
        line.silent_after, line.target = float("inf"), NOWHERE.port
        line.drop()
        line.speak()
        assert sending.stderr
        assert next(said for said in sending.stderr if "trying again" in said)
        sending.send_signal(signal.SIGINT)
        _, talk = sending.communicate(timeout=HANGS_S)
    assert sending.returncode == 130
    assert "Traceback" not in talk


@pytest.mark.parametrize("server", ["openssh_server"], indirect=True)
def test_who_is_not_reached_at_first_is_reported_at_once(project: Project, line: Line) -> None:
    line.target = NOWHERE.port
    assert "trying again" not in project.run("deploy").stderr
    assert line.num_connections <= 2


def test_what_is_wrong_with_a_pod_that_answers_is_not_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("MOOLA_STATE_DIR", str(project.state))
    tried = []

    def call() -> None:
        tried.append(app.pod.transport.run(["true"]).returncode)
        raise UnreachableError("pod host: no rsync on the pod")

    app = App()
    with app.pod, pytest.raises(UnreachableError, match="no rsync"):
        app.persist(call)
    assert tried == [0]
