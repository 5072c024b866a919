"""Pods that attack a fetch: links planted in the staging folder, and an rsync that lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from moola_remote.errors import MoolaError, UnreachableError
from moola_remote.rsync import argv
from moola_remote.ssh.connect import connect
from tests.support.fakes import ShellTransport
from tests.support.fetching import FILES, Pod, content_of
from tests.support.servers import SSHD, running_openssh

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("by_rsync")]


def test_a_link_in_the_place_of_the_staging_folder_is_not_followed(
    pod: Pod, tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    pod.results.mkdir()
    pod.staging.symlink_to(tmp_path / "victim")
    assert "expected a folder" in pod.refusal()
    assert list((tmp_path / "victim").iterdir()) == []


def test_links_planted_in_the_staging_folder_are_gone_before_anything_arrives(
    pod: Pod, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    pod.staging.mkdir(parents=True)
    (pod.staging / "artifacts").symlink_to(victim)
    (pod.staging / "log").symlink_to(victim / "log")
    pod.fetch()
    assert list(victim.iterdir()) == []
    assert content_of(pod.final) == FILES


EVIL_RSYNCS = {
    "garbage": "head -c 300000 /dev/urandom",
    "zeros": "head -c 50000000 /dev/zero",
    "nothing": "exit 0",
    "hangs": "exec sleep 20",
    "a greeting": 'echo welcome to this pod; exec {rsync} "$@"',
    "dies half way": '{rsync} "$@" | head -c 2000; exit 1',
    "grows": 'while [ -e {run}/log ]; do echo more >>{run}/log; done & exec {rsync} "$@"',
}


@pytest.fixture
def evil(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pod]:
    """A pod whose rsync is the script of the parameter."""
    programs = tmp_path / "bin"
    programs.mkdir()
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
            server = stack.enter_context(running_openssh(tmp_path / "sshd"))
        transport = connect(server, known_hosts=tmp_path / "known_hosts")
        stack.callback(transport.close)
        pod = Pod(tmp_path, transport, server.python)
        script = request.param.format(rsync=shutil.which("rsync"), run=pod.run)
        (programs / "rsync").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "rsync").chmod(0o755)
        yield pod


@pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here")
@pytest.mark.parametrize("evil", EVIL_RSYNCS.values(), ids=EVIL_RSYNCS, indirect=True)
def test_nothing_is_promoted_from_an_rsync_that_lies(
    evil: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argv, "STALL_S", 3)
    evil.refusal(MoolaError)
    staged = [path for path in evil.results.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in staged) < 2_000_000
    assert evil.transport.run(["echo", "alive"]).stdout == b"alive\n"


class Planting(ShellTransport):
    """A transport whose pull brings the right files, and then what `plant` does to their folder."""

    def __init__(self, cwd: Path, plant: Callable[[Path], object]) -> None:
        super().__init__(cwd)
        self._plant = plant

    def pull(self, source: PurePosixPath, dest: Path, **options: Any) -> int:
        for name in options["files"]:
            (dest / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(Path(source) / name, dest / name)
        self._plant(dest)
        return 0


def _swap_for_link_with_the_right_content(dest: Path) -> None:
    (dest / "log").rename(dest.parent / "outside")
    (dest / "log").symlink_to(dest.parent / "outside")


def _swap_folder_for_link_with_the_right_content(dest: Path) -> None:
    (dest / "artifacts").rename(dest.parent / "outside")
    (dest / "artifacts").symlink_to(dest.parent / "outside")


def _swap_for_folder(dest: Path) -> None:
    (dest / "log").unlink()
    (dest / "log").mkdir()


PLANTS: list[Callable[[Path], object]] = [
    _swap_for_link_with_the_right_content,
    _swap_folder_for_link_with_the_right_content,
    lambda dest: (dest / "stray-link").symlink_to("/etc/passwd"),
    lambda dest: (dest / "manifest.json").symlink_to("/etc/hostname"),
    lambda dest: os.mkfifo(dest / "artifacts" / "fifo"),
    lambda dest: (dest / "artifacts" / "stray").write_text("x"),
]


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_is_promoted_with_what_was_planted(
    plant: Callable[[Path], object], tmp_path: Path
) -> None:
    pod = Pod(tmp_path, Planting(tmp_path, plant), sys.executable)
    pod.refusal()


@pytest.mark.parametrize("take", [_swap_for_folder, lambda dest: (dest / "log").unlink()])
def test_what_a_pull_lost_is_named(take: Callable[[Path], object], tmp_path: Path) -> None:
    pod = Pod(tmp_path, Planting(tmp_path, take), sys.executable)
    assert set(pod.lacking()) == {"log"}


def test_the_same_pod_without_a_plant_is_fetched(tmp_path: Path) -> None:
    pod = Pod(tmp_path, Planting(tmp_path, bool), sys.executable)
    pod.fetch()
    assert content_of(pod.final) == FILES


def test_a_lost_line_keeps_the_staging_folder(tmp_path: Path) -> None:
    def lose(dest: Path) -> None:
        raise UnreachableError("lost")

    pod = Pod(tmp_path, Planting(tmp_path, lose), sys.executable)
    assert pod.refusal(UnreachableError) == "lost"
    assert (pod.staging / "log").exists()


def test_what_outlives_a_fetch_is_waited_for_by_the_next(tmp_path: Path) -> None:
    ended: list[subprocess.Popen[bytes]] = []

    class Outlived(ShellTransport):
        def pull(self, *_: Any, **options: Any) -> int:
            argv = ["sh", "-c", "sleep 0.5"]  # as the rsync of a fetch that was killed
            ended.append(subprocess.Popen(argv, pass_fds=(options["held"],)))
            raise UnreachableError("lost")

    pod = Pod(tmp_path, Outlived(tmp_path), sys.executable)
    pod.refusal(UnreachableError)
    assert ended[0].poll() is None
    pod.transport = Planting(tmp_path, bool)
    pod.fetch()
    assert ended[0].poll() == 0
    assert content_of(pod.final) == FILES
