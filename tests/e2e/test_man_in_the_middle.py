"""Somebody with another key answers at the pod's own address: every command stops at the door."""

from __future__ import annotations

import base64
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.host_key_options import pin_options
from moola_remote.ssh.hostkeys import KnownHosts, alias, fingerprint
from moola_remote.ssh.keeping import keeping
from tests.support.lanes import HANGS_S
from tests.support.lines import Line
from tests.support.masters import masters
from tests.support.pods import wait_until
from tests.support.projects import PROGRAM, Project, make_project, pod_file, read_to_end
from tests.support.servers import running_local_pod, running_openssh

pytestmark = [pytest.mark.e2e, pytest.mark.process]


@pytest.fixture(params=["openssh_server", "local_pod"])
def pod(request: pytest.FixtureRequest) -> Endpoint:
    """Each server in turn, as a machine of which only its address is known."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def stranger(pod: Endpoint, openssh_server: Endpoint, tmp_path: Path) -> Iterator[Endpoint]:
    """A server of the other kind, with a key of its own, which lets the pod's user in."""
    kind = running_local_pod if pod is openssh_server else running_openssh
    with kind(tmp_path / "stranger") as server:
        yield server


@pytest.fixture
def address(pod: Endpoint) -> Iterator[Line]:
    """The pod's address, which may come to lead elsewhere."""
    made = Line(pod.port)
    yield made
    made.cut()


@pytest.fixture
def project(pod: Endpoint, address: Line, tmp_path: Path) -> Project:
    """A project whose pod is at that address; nobody has named its key."""
    made = make_project(tmp_path / "project", tmp_path / "state", pod="host")
    made.write("configs/pods/host.yaml", pod_file(pod, port=address.port, host_key=None))
    return made


def fingerprint_of(pod: Endpoint) -> str:
    """What the pod's own file says of its key."""
    assert pod.known_key
    return fingerprint(base64.b64decode(pod.known_key.split()[1]))


def _vouched(project: Project, pod: Endpoint, port: int) -> str:
    """The pod's key is in its file, and pinned with the first command; its fingerprint."""
    known = KnownHosts(project.state / "known_hosts")
    line = project.refused(12, "runs")
    shown = re.search(r"host_key: (SHA256:\S{43})", line)
    assert shown
    project.write("configs/pods/host.yaml", pod_file(pod, port=port, host_key=shown[1]))
    project.ok("runs")
    project.write("configs/pods/host.yaml", pod_file(pod, port=port, host_key=None))
    key = known.get("host")
    assert key
    assert fingerprint(key) == shown[1]
    return shown[1]


def test_a_stranger_at_the_pods_address_is_refused_by_every_command(
    project: Project, pod: Endpoint, address: Line, stranger: Endpoint
) -> None:
    known = _vouched(project, pod, address.port)
    project.ok("runs")
    address.target = stranger.port
    project.ok("runs")  # the connection that has stayed leads to the pod as before
    _cut_what_stays(project, address)
    for words in ("runs", "deploy", "fetch all"):
        line = project.refused(12, *words.split())
        assert f"has changed, expected {known}, got SHA256:" in line
        assert known not in line.partition(", got ")[2]
        assert "someone is in between: send nothing" in line
    project.write("configs/pods/host.yaml", pod_file(pod, port=address.port, host_key=known))
    assert f"expected {known}, got SHA256:" in project.refused(12, "runs")


def _cut_what_stays(project: Project, address: Line) -> None:
    """Reset the connections that were made before; what is new leads to the stranger."""
    keep = keeping(project.state, 1)
    assert keep
    assert masters(keep.folder)
    address.drop()
    wait_until(lambda: not masters(keep.folder))


one_kind = pytest.mark.parametrize("pod", ["openssh_server"], indirect=True)


@one_kind
def test_the_cure_that_is_reported_forgets_the_pin_and_vouches_for_nobody(
    project: Project, pod: Endpoint, address: Line, stranger: Endpoint
) -> None:
    _vouched(project, pod, address.port)
    address.target = stranger.port
    reported = re.search(r"`(ssh-keygen -R [^`]+)`", project.refused(12, "runs"))
    assert reported
    subprocess.run(["sh", "-c", reported[1]], check=True, capture_output=True)
    assert "is unknown, and there is no terminal to confirm it at" in project.refused(12, "runs")


@one_kind
def test_at_a_terminal_an_unknown_key_is_shown_and_asked_about(
    project: Project, pod: Endpoint
) -> None:
    known = KnownHosts(project.state / "known_hosts")
    code, shown = _answered(project, b"n\n")
    assert fingerprint_of(pod) in shown
    assert (code, known.get("host")) == (12, None)
    code, shown = _answered(project, b"y\n")
    assert (code, fingerprint(known.get("host") or b"")) == (0, fingerprint_of(pod))
    project.ok("runs")


def _answered(project: Project, answer: bytes) -> tuple[int, str]:
    """``runs`` at a terminal where somebody answers; its exit code and all that is shown."""
    ours, theirs = pty.openpty()
    terminal = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    with project.running(PROGRAM, "runs", **terminal) as command:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 65536)
        os.write(ours, answer)
        shown += read_to_end(ours)
        return command.wait(timeout=HANGS_S), shown.decode()


@one_kind
def test_the_pin_is_the_pods_and_not_the_addresss(
    project: Project, pod: Endpoint, address: Line, stranger: Endpoint
) -> None:
    _vouched(project, pod, address.port)
    project.write("configs/pods/host.yaml", pod_file(pod, host_key=None))  # it has moved
    project.ok("runs")
    project.write("configs/pods/other.yaml", pod_file(pod, port=address.port, host_key=None))
    assert "is unknown" in project.refused(12, "--pod", "other", "runs")


def test_transfers_go_over_the_one_connection_that_was_checked(
    project: Project, pod: Endpoint, address: Line
) -> None:
    shown = pod_file(pod, port=address.port, host_key=fingerprint_of(pod))
    project.write("configs/pods/host.yaml", shown)
    project.ok("deploy")
    assert address.num_connections == 1


@one_kind
def test_openssh_under_rsync_refuses_the_stranger_too(
    project: Project, pod: Endpoint, address: Line, stranger: Endpoint, tmp_path: Path
) -> None:
    _vouched(project, pod, address.port)
    options = pin_options(project.state / "known_hosts", "host")
    key = ["-F", "/dev/null", "-i", str(pod.identity_file), "-o", "BatchMode=yes"]
    shell = shlex.join(["ssh", *key, "-p", str(address.port), "-l", pod.user, *options])

    def push(name: str) -> subprocess.CompletedProcess[str]:
        argv = ["rsync", f"--rsh={shell}", str(project.folder / "requirements.txt")]
        argv.append(f"127.0.0.1:{tmp_path / name}")
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=HANGS_S)

    assert push("one").returncode == 0
    address.target = stranger.port
    refused = push("two")
    assert refused.returncode != 0
    assert f"Host key for {alias('host')} has changed" in refused.stderr
    assert (tmp_path / "one").exists()
    assert not (tmp_path / "two").exists()
