"""What comes home: from an honest pod with a real job, and from pods that lie."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import get_state, submit
from moola_remote.errors import LimitError, MoolaError, TransferError, UnreachableError
from moola_remote.results.fetch import fetch_run
from moola_remote.results.verify import Caps
from moola_remote.rsync import argv
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.fakes import ShellTransport
from tests.support.fetching import FILES, RUN, Pod, content_of
from tests.support.lines import Line
from tests.support.pods import wait_until
from tests.support.servers import SSHD, running_openssh

pytestmark = pytest.mark.process

JOB = """
mkdir -p $MOOLA_RUN_DIR/artifacts $MOOLA_RUN_DIR/checkpoints/epoch-0001
echo '{"schema": 1, "t": 1, "kind": "note", "text": "x"}' >$MOOLA_RUN_DIR/events.jsonl
printf weights >$MOOLA_RUN_DIR/artifacts/model.safetensors
printf plot >"$MOOLA_RUN_DIR/artifacts/a plot é.png"
printf state >$MOOLA_RUN_DIR/checkpoints/epoch-0001/state.safetensors
ln -s /etc/passwd $MOOLA_RUN_DIR/artifacts/link
echo said
"""


def _spec(script: str) -> dict[str, Any]:
    nothing = {"code": None, "data": None, "environment": None, "gpu": None, "recipe": None}
    limits = {"max_time_s": None, "max_cost_usd": None, "idle_stop_s": None}
    spec: dict[str, Any] = {
        "schema": 1,
        "run_id": RUN,
        "argv": ["sh", "-c", script],
        "env": {},
        **nothing,
    }
    return {**spec, "grace_s": 1, "source": None, "limits": limits, "on_finish": None}


class Counting:
    """A transport that counts the bytes that a pull sent."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.sent = 0

    def pull(self, *args: Any, **options: Any) -> int:
        self.sent = self._transport.pull(*args, **options)
        return self.sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.fixture
def pod(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> Pod:
    """An honest pod, on each server."""
    return Pod(tmp_path, transport, endpoint.python)


def test_a_real_run_comes_home_verified(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    agent = Agent(transport, root=str(tmp_path / "root"), python=endpoint.python)
    submit(agent, _spec(JOB))
    wait_until(lambda: get_state(agent, RUN).has_ended)
    fetched = fetch_run(transport, agent, RUN, tmp_path / "results", what="all")
    content = content_of(fetched.folder)
    assert content["log"] == b"said\n"
    assert content["artifacts/a plot é.png"] == b"plot"
    assert content["checkpoints/epoch-0001/state.safetensors"] == b"state"
    assert "artifacts/link" not in content
    (link,) = fetched.missing
    assert (link.path, "leads out of the run, to /etc/passwd" in link.why) == (
        "artifacts/link",
        True,
    )
    assert fetched.files == len(content)


def test_a_deep_tree_and_names_of_rsyncs_own_cost_no_other_file(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    agent = Agent(transport, root=str(tmp_path / "root"), python=endpoint.python)
    job = (
        "cd $MOOLA_RUN_DIR; mkdir .rsync-partial; echo p >.rsync-partial/x; "
        "(for i in $(seq 200); do mkdir d; cd -P d; done; echo leaf >leaf); "
        "(cd d; for i in $(seq 400); do mkdir e; cd -P e; done; echo low >low); "
        """printf l >"$(printf '%0100d' 0 | tr 0 '\\377')" """
    )
    submit(agent, _spec(job))
    wait_until(lambda: get_state(agent, RUN).has_ended)
    fetched = fetch_run(transport, agent, RUN, tmp_path / "results", what="all")
    content = content_of(fetched.folder)
    assert content["d/" * 200 + "leaf"] == b"leaf\n"
    assert content[os.fsdecode(b"\xff" * 100)] == b"l"
    assert content["log"] == b""
    assert [one.path for one in fetched.missing] == [".rsync-partial/x"]
    assert content["d/" + "e/" * 400 + "low"] == b"low\n"


def test_a_socket_or_a_pipe_is_named_and_nothing_lost(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    agent = Agent(transport, root=str(tmp_path / "root"), python=endpoint.python)
    listen = "import socket; socket.socket(socket.AF_UNIX).bind('s')"
    closed = "echo secret >closed; chmod 0 closed; touch nothing; chmod 0 nothing"
    submit(agent, _spec(f'cd $MOOLA_RUN_DIR; mkfifo p; python3 -c "{listen}"; {closed}'))
    wait_until(lambda: get_state(agent, RUN).has_ended)
    fetched = fetch_run(transport, agent, RUN, tmp_path / "results", what="all")
    named = [(one.path, one.why) for one in fetched.empty]
    if os.geteuid() == 0:  # who may read everything
        assert (named, fetched.missing) == ([("p", "a pipe"), ("s", "a socket")], ())
    else:
        assert [one.path for one in fetched.empty] == ["nothing", "p", "s"]
        assert [one.path for one in fetched.missing] == ["closed"]


def test_results_may_be_a_link_to_another_disk(pod: Pod, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    pod.results.symlink_to(disk)
    fetched = pod.fetch()
    assert content_of(disk / RUN) == FILES
    assert fetched.missing == ()
    assert pod.fetch().already_there == len(FILES)


def test_the_folder_of_a_run_may_be_a_link_of_the_users(pod: Pod, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    pod.results.mkdir()
    pod.final.symlink_to(disk)
    pod.fetch()
    assert content_of(disk) == FILES
    assert (pod.fetch().already_there, pod.final.is_symlink()) == (len(FILES), True)


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("x"), lambda path: path.symlink_to("/nowhere")]
)
def test_what_is_no_folder_in_a_runs_place_is_one_line(
    make: Callable[[Path], Any], pod: Pod
) -> None:
    pod.results.mkdir()
    make(pod.final)
    with pytest.raises(TransferError, match=r"expected a folder; move it away"):
        pod.fetch()
    assert list(pod.results.iterdir()) == [pod.final]


def test_a_run_that_goes_on_is_not_fetched(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    agent = Agent(transport, root=str(tmp_path / "root"), python=endpoint.python)
    submit(agent, _spec("until [ -e $MOOLA_RUN_DIR/stop ]; do sleep 0.02; done"))
    try:
        with pytest.raises(TransferError, match=r"still (QUEUED|PREPARING|RUNNING).*attach"):
            fetch_run(transport, agent, RUN, tmp_path / "results")
        assert not (tmp_path / "results").exists()
    finally:
        wait_until((tmp_path / "root" / "runs" / RUN).is_dir)
        (tmp_path / "root" / "runs" / RUN / "stop").touch()
        wait_until(lambda: get_state(agent, RUN).has_ended)


def test_everything_comes_once(pod: Pod) -> None:
    steps: list[tuple[int, int]] = []
    fetched = pod.fetch(progress=lambda *step: steps.append(step))
    assert content_of(pod.final) == FILES
    assert (fetched.files, fetched.bytes) == (4, sum(map(len, FILES.values())))
    assert steps[-1] == (fetched.bytes, fetched.bytes)
    assert not pod.staging.exists()
    again = pod.fetch()
    assert (again.files, again.bytes, again.already_there) == (0, 0, 4)


def test_what_is_asked_for_comes(pod: Pod) -> None:
    pod.fetch("logs")
    assert set(content_of(pod.final)) == {"log"}
    fetched = pod.fetch("results")
    assert fetched.already_there == 1
    assert set(content_of(pod.final)) == {name for name in FILES if "check" not in name}
    pod.fetch("checkpoints")
    assert content_of(pod.final) == FILES


def test_a_file_that_was_changed_here_is_never_replaced(pod: Pod) -> None:
    pod.fetch("logs")
    (pod.final / "log").write_text("notes of mine")
    (missing,) = pod.fetch().missing
    assert (missing.path, missing.size) == ("log", len(FILES["log"]))
    assert "differs from the pod's, and is not replaced" in missing.why
    assert content_of(pod.final) == {**FILES, "log": b"notes of mine"}


def test_an_interrupted_fetch_goes_on(pod: Pod) -> None:
    done = "checkpoints/epoch-0001/state"
    (pod.staging / done).parent.mkdir(parents=True)
    shutil.copy2(pod.run / done, pod.staging / done)
    (pod.staging / "stray").write_text("of another fetch")
    counting = Counting(pod.transport)
    fetched = fetch_run(counting, pod.agent, RUN, pod.results, what="all")
    assert content_of(pod.final) == FILES
    assert fetched.files == 4
    assert counting.sent == sum(map(len, FILES.values())) - len(FILES[done])


def test_a_fetch_over_a_line_that_is_cut_sends_nothing_again(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    files = {f"checkpoints/epoch-000{number}/state": os.urandom(5_000_000) for number in range(3)}
    line = Line(endpoint.port)
    line.resets = iter([8_000_000])  # in the second file
    place = dataclasses.replace(endpoint, port=line.port)

    @contextmanager
    def connected() -> Iterator[Pod]:
        transport = connect(place, known_hosts=tmp_path / "known_hosts")
        pod = Pod(tmp_path, transport, endpoint.python)
        pod.write(files)
        yield pod
        transport.close()

    try:
        with connected() as pod:
            pod.refusal(UnreachableError)
            arrived = sum(path.stat().st_size for path in pod.staging.rglob("state"))
        before = line.num_moved
        with connected() as pod:
            pod.fetch()
        sent = line.num_moved - before
    finally:
        line.cut()
    assert content_of(pod.final) == files
    assert arrived > 5_000_000
    assert sent < 1.02 * (15_000_000 - arrived) + 100_000


def test_two_fetches_at_once_do_not_meet(pod: Pod) -> None:
    pod.staging.mkdir(parents=True)
    fd = os.open(pod.staging, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert "another fetch" in pod.refusal()
    finally:
        os.close(fd)


def test_the_caps_hold_for_all_fetches_of_a_run_together(pod: Pod) -> None:
    pod.fetch("logs")
    size = len(FILES["checkpoints/epoch-0001/state"])
    with pytest.raises(LimitError, match="files, expected at most 3"):
        pod.fetch(caps=Caps(max_files=3))
    with pytest.raises(LimitError, match="bytes"):
        pod.fetch("checkpoints", caps=Caps(max_bytes=size + 2))
    assert set(content_of(pod.final)) == {"log"}


def test_caps_of_count_size_and_disk(pod: Pod) -> None:
    assert "4 files" in pod.refusal(LimitError, caps=Caps(max_files=3))
    assert "bytes" in pod.refusal(LimitError, caps=Caps(max_bytes=1000))
    pod.declare_file(size=10**17)
    assert "free on this disk" in pod.refusal(LimitError, caps=Caps(max_bytes=10**18))


# ---- a pod that lies in what it has on its disk, through the real rsync


def _swap_file_for_link(run: Path) -> None:
    (run / "log").unlink()
    (run / "log").symlink_to("/etc/passwd")


def _swap_folder_for_link(run: Path) -> None:
    shutil.move(run / "artifacts", run / "elsewhere")
    (run / "artifacts").symlink_to("/etc")


def _swap_file_for_fifo(run: Path) -> None:
    (run / "log").unlink()
    os.mkfifo(run / "log")


def _make_sparse(run: Path) -> None:
    os.truncate(run / "log", 10 * 2**40)


SPOILS: list[tuple[str, Callable[[Path], object]]] = [
    ("log", _swap_file_for_link),
    ("artifacts/model.safetensors artifacts/sub/metrics.json", _swap_folder_for_link),
    ("log", _swap_file_for_fifo),
    ("log", _make_sparse),
    ("log", lambda run: (run / "log").unlink()),
    ("log", lambda run: (run / "log").write_bytes(b"other")),
    ("log", lambda run: (run / "log").write_bytes(b"sai")),
    ("log", lambda run: (run / "log").write_bytes(b"said\nand more")),
]


@pytest.mark.parametrize(("names", "spoil"), SPOILS)
def test_what_is_spoiled_is_named_and_costs_no_other(
    names: str, spoil: Callable[[Path], object], pod: Pod
) -> None:
    spoil(pod.run)
    missing = pod.lacking()
    assert sorted(missing) == names.split()
    assert set(missing.values()) == {"missing, or not as the manifest says"}
    staged = [path for path in pod.staging.rglob("*") if not path.is_dir()]
    assert sum(path.stat().st_size for path in staged) < 1_000_000


def test_nothing_is_promoted_by_a_manifest_that_is_none(pod: Pod) -> None:
    (pod.run / "manifest.json").write_bytes(b"{}")
    pod.refusal()


def test_a_manifest_that_is_gone_is_made_again(pod: Pod) -> None:
    (pod.run / "manifest.json").unlink()
    assert pod.lacking() == {}


def test_a_manifest_that_the_state_does_not_name_is_refused(pod: Pod) -> None:
    state = (pod.run / "state.json").read_bytes()
    pod.write({**FILES, "log": b"other"})
    (pod.run / "state.json").write_bytes(state)
    assert "not the one that state.json names" in pod.refusal()


def test_a_manifest_of_a_gigabyte_is_not_read_to_its_end(pod: Pod) -> None:
    os.truncate(pod.run / "manifest.json", 10**9)
    assert "manifest.json: larger than 67108864 bytes" in pod.refusal()


def test_a_mended_run_is_fetched_after_all(pod: Pod) -> None:
    times = (pod.run / "log").stat()
    (pod.run / "log").write_bytes(b"SAID\n")
    os.utime(pod.run / "log", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert set(pod.lacking()) == {"log"}
    (pod.run / "log").write_bytes(b"said\n")
    os.utime(pod.run / "log", ns=(times.st_atime_ns, times.st_mtime_ns))
    pod.fetch()
    assert content_of(pod.final) == FILES


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "artifacts"])
def test_a_manifest_that_names_what_it_may_not_is_refused_whole(path: str, pod: Pod) -> None:
    pod.declare_file(path=path)
    pod.refusal()
    assert not pod.staging.exists()


def test_an_odd_name_is_shown_escaped(pod: Pod) -> None:
    pod.declare_file(path="a\x1b[2Jb")
    (missing,) = pod.fetch().missing
    assert "\x1b" not in missing.path
    assert "[2Jb" in missing.path


def test_a_run_id_is_no_path(pod: Pod) -> None:
    for run_id in ("../x", "/etc", "", "a" * 65, "A", ".", "x\n"):
        with pytest.raises(TransferError, match="not a run id"):
            fetch_run(pod.transport, pod.agent, run_id, pod.results)


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


# ---- a pod whose rsync lies: another program under its name


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


# ---- a hole in our own rsync: whatever the pull puts into the staging folder


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
