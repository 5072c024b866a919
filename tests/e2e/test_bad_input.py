"""What a user gets wrong, and what a machine lacks: one line, the cure, no traces."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.deploy import upload
from moola_remote.ssh.endpoint import Endpoint
from tests.support.lanes import HANGS_S
from tests.support.projects import NOWHERE, PROGRAM, Project, pod_file
from tests.support.small_disks import disk_or_skip

pytestmark = [pytest.mark.e2e, pytest.mark.process]


def test_a_pod_that_refuses_the_connection_or_the_key_is_reported(
    openssh_server: Endpoint, offline: Project, tmp_path: Path
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        offline.write(
            "configs/pods/host.yaml", pod_file(openssh_server, port=closed.getsockname()[1])
        )
        line = offline.refused(11, "--pod", "host", "deploy")
    assert "connection refused; is the pod running" in line
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    offline.write("configs/pods/host.yaml", pod_file(openssh_server, identity_file=key))
    line = offline.refused(11, "--pod", "host", "deploy")
    assert f"refuses user {openssh_server.user}" in line
    assert "authorized_keys" in line
    other = "SHA256:" + "A" * 43
    offline.write("configs/pods/host.yaml", pod_file(openssh_server, host_key=other))
    offline.refused(12, "--pod", "host", "deploy")
    doctor = offline.run("--pod", "host", "doctor")
    assert doctor.returncode == 1
    assert "agent on the pod" not in doctor.stdout


def test_an_interrupt_is_reported_without_a_traceback(offline: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(HANGS_S)
        offline.write("configs/pods/host.yaml", pod_file(NOWHERE, port=server.getsockname()[1]))
        with offline.running(PROGRAM, "--pod", "host", "runs") as waiting:
            silent, _ = server.accept()
            with silent:
                waiting.send_signal(signal.SIGINT)
                _, talk = waiting.communicate(timeout=HANGS_S)
    assert (waiting.returncode, talk.strip()) == (130, "error: interrupted")


@pytest.fixture
def without_rsync(tmp_path: Path) -> str:
    """A PATH that has git and no rsync."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh", "cat", "mkdir", "mv", "wc"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return str(folder)


def test_no_rsync_here(local_project: Project, without_rsync: str) -> None:
    local_project.ok("deploy")
    # Without it a few small files would travel with the question, as others are on the pod.
    (local_project.folder / "large.txt").write_text("x" * (upload.INLINE_BYTES + 1))
    local_project.env["PATH"] = without_rsync
    line = local_project.refused(10, "deploy")
    assert line.startswith("error: rsync: not found on this machine")
    assert "apt-get install rsync" in line


def test_no_rsync_on_the_pod(offline: Project, without_rsync: str) -> None:
    offline.env["PATH"] = without_rsync
    offline.ok("up")
    try:
        offline.env.clear()
        line = offline.refused(11, "deploy")
        assert line == "error: pod local: no rsync on the pod; there: apt-get install rsync"
        assert list((offline.state / "local-pod" / "root" / "code").iterdir()) == []
    finally:
        offline.ok("stop")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB; only root can make one."""
    with disk_or_skip(tmp_path / "disk", megabytes=2) as disk:
        yield disk


def test_a_full_disk_on_the_pod_leaves_nothing_that_counts(
    openssh_server: Endpoint, offline: Project, small_disk: Path
) -> None:
    offline.write("configs/pods/host.yaml", pod_file(openssh_server, root=small_disk / "root"))
    (offline.folder / "data" / "numbers" / "big.bin").write_bytes(os.urandom(3_000_000))
    for size, said in (("2m", "not even 16 MB can be written"), ("64m", "GB free, expected 0.5")):
        subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
        assert said in offline.refused(14, "--pod", "host", "train")
        assert list((small_disk / "root" / "data").glob("[!.]*")) == []
        assert list((small_disk / "root" / "runs").iterdir()) == []
    subprocess.run(["mount", "-o", "remount,size=1g", str(small_disk)], check=True)
    assert "✓  data" in offline.ok("--pod", "host", "deploy")


def test_a_quota_that_no_free_space_shows_is_found_before_anything_is_sent(
    openssh_server: Endpoint, offline: Project, tmp_path: Path
) -> None:
    """A limit of the process stands for the quota: neither shows in what the file system says."""
    python = tmp_path / "limited"
    python.write_text(f'#!/bin/sh\nulimit -f 65536\nexec {sys.executable} "$@"\n')  # 32 MiB
    python.chmod(0o755)
    offline.write("configs/pods/host.yaml", pod_file(openssh_server, python=python))
    with (offline.folder / "data" / "numbers" / "big.bin").open("wb") as file:
        file.truncate(20_000_000)
    data = Path(openssh_server.root) / "data"
    there = set(data.glob("*"))  # of other tests at this server
    line = offline.refused(14, "--pod", "host", "deploy")
    assert "pod host: 0.5 GB can't be written below its root, File too large; expected" in line
    assert line.endswith(
        "remove runs with moola-remote clean, or make the volume or its quota larger"
    )
    assert set(data.glob("*")) == there


def test_what_lies_where_results_should_go_is_left_alone(local_project: Project) -> None:
    run_id = local_project.json("train", "--detach")[0]["run_id"]
    local_project.run("attach", run_id)
    results = local_project.write("results", "mine\n")
    line = local_project.refused(10, "fetch", "results")
    assert f"{results}: can't be written" in line
    assert results.read_text() == "mine\n"
    results.unlink()
    mine = local_project.write(f"results/{run_id}/log", "mine\n")
    done = local_project.run("fetch", "results")
    assert done.returncode == 15
    assert f"not fetched, log: {mine}: differs from the pod's, and is not replaced" in done.stderr
    assert "1 of its files are not here; fix what is listed above" in done.stderr
    assert mine.read_text() == "mine\n"
    for name in ("nosuch", "20200101-000000-x-0000"):
        assert "unknown, expected for example" in local_project.refused(10, "logs", name)
