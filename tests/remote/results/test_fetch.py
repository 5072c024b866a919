"""What comes home: from an honest pod with a real job, and from pods that lie."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent.files import bytes_of
from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import get_state, submit
from moola_remote.errors import LimitError, TransferError, UnreachableError
from moola_remote.files import hashing
from moola_remote.protocol import manifest
from moola_remote.results.fetch import fetch_run
from moola_remote.results.fetched import Caps
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.fetching import FILES, RUN, Pod, content_of
from tests.support.lanes import HANGS_S
from tests.support.lines import Line
from tests.support.pods import put_agent, wait_until

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


def test_a_real_run_comes_home_verified(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    put_agent(str(tmp_path / "root"))
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
    put_agent(str(tmp_path / "root"))
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
    put_agent(str(tmp_path / "root"))
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
    put_agent(str(tmp_path / "root"))
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


def test_what_is_whole_is_looked_at_and_not_compared_again(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "RACY_NS", 0)
    cache, log = tmp_path / "hashes.json", FILES["log"]
    with monkeypatch.context() as unread:
        assert [pod.fetch(cache=cache).already_there for _ in range(2)] == [0, 4]
        unread.setattr(manifest, "read_manifest", None)  # which would fail
        (pod.final / "manifest.json").unlink()
        third = pod.fetch(cache=cache)
    assert (third.files, third.already_there, third.missing) == (0, 4, ())
    assert (pod.final / "manifest.json").read_bytes() == (pod.run / "manifest.json").read_bytes()
    # A file that is another, one that is gone, a manifest that is another.
    (pod.final / "log").write_bytes(log.upper())
    assert [one.path for one in pod.fetch(cache=cache).missing] == ["log"]
    assert [one.path for one in pod.fetch(cache=cache).missing] == ["log"]
    (pod.final / "log").unlink()
    assert pod.fetch(cache=cache).files == 1
    assert pod.fetch(cache=cache).already_there == 4
    pod.write({**FILES, "more": b"more"})
    assert pod.fetch(cache=cache).files == 1
    assert content_of(pod.final) == {**FILES, "more": b"more"}


@pytest.mark.usefixtures("by_rsync")
def test_an_interrupted_fetch_goes_on(pod: Pod) -> None:
    done = "checkpoints/epoch-0001/state"
    pod.stage(done)
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
    line.silent_after = 8_000_000  # in the second file
    place = dataclasses.replace(endpoint, port=line.port)

    @contextmanager
    def connected() -> Iterator[Pod]:
        transport = connect(place, known_hosts=tmp_path / "known_hosts")
        pod = Pod(tmp_path, transport, endpoint.python)
        pod.write(files)
        yield pod
        transport.close()

    def cut_once_written(staging: Path) -> None:
        """A reset throws away what has not been read yet, on a slow machine all of it."""
        wait_until(lambda: bytes_of(staging) > 6_000_000)
        line.silent_after = float("inf")
        line.drop()
        line.speak()

    try:
        with connected() as pod, ThreadPoolExecutor() as threads:
            cutting = threads.submit(cut_once_written, pod.staging)
            pod.refusal(UnreachableError)
            cutting.result(HANGS_S)
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
    total = sum(map(len, FILES.values()))
    assert "4 files" in pod.refusal(LimitError, caps=Caps(max_files=3))
    assert f"{total} bytes" in pod.refusal(LimitError, caps=Caps(max_bytes=total - 1))
    assert pod.fetch(caps=Caps(max_files=4, max_bytes=total)).files == 4
    shutil.rmtree(pod.results)
    pod.declare_file(size=10**17)
    assert "free on this disk" in pod.refusal(LimitError, caps=Caps(max_bytes=10**18))
