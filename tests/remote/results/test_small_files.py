"""Small files, which one answer of the agent holds: whole, cut, on a full disk, from a liar."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.errors import LimitError, MoolaError, TransferError, UnreachableError
from moola_remote.results import small_files
from moola_remote.results.fetch import fetch_run
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Channel
from tests.support.fetching import FILES, RUN, Pod, content_of
from tests.support.lines import Line
from tests.support.small_disks import small_disk

pytestmark = pytest.mark.process
SMALL = {path: data for path, data in FILES.items() if len(data) <= small_files.SMALL}


class Asked:
    """A channel that remembers what is written to it."""

    def __init__(self, channel: Channel, said: list[bytes]) -> None:
        self._channel, self._said = channel, said

    def write(self, data: bytes) -> None:
        self._said.append(data)
        self._channel.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


class Recording:
    """An agent that remembers which files it is asked to send."""

    def __init__(self, agent: Agent) -> None:
        self._agent, self._said = agent, list[bytes]()

    @property
    def asked(self) -> list[str]:
        return [file["path"] for text in self._said for file in json.loads(text)["files"]]

    def open(self, *argv: str) -> Any:
        return Asked(self._agent.open(*argv), self._said)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)


def fetch_recording(pod: Pod) -> list[str]:
    recording: Any = Recording(pod.agent)
    fetch_run(pod.transport, recording, RUN, pod.results, what="all")
    assert content_of(pod.final) == FILES
    asked: list[str] = recording.asked
    return asked


def test_small_files_come_with_their_times_for_us_alone(pod: Pod) -> None:
    os.utime(pod.run / "log", ns=(0, -1_000_000_007))  # before 1970
    (pod.run / "artifacts/model.safetensors").chmod(0o6777)
    assert sorted(fetch_recording(pod)) == sorted(SMALL)
    for path in SMALL:
        there, here = (pod.run / path).stat(), (pod.final / path).stat()
        assert (here.st_mtime_ns, here.st_mode & 0o7777) == (there.st_mtime_ns, 0o600)


def test_what_an_earlier_fetch_left_is_not_asked_for_unless_it_is_another(pod: Pod) -> None:
    pod.stage("log")
    pod.stage("artifacts/model.safetensors")
    (pod.staging / "artifacts/model.safetensors").write_bytes(b"weigh")  # cut off
    (pod.staging / "artifacts/sub").write_bytes(b"a file where a folder is needed")
    wanted = {"artifacts/model.safetensors", "artifacts/sub/metrics.json"}
    assert set(fetch_recording(pod)) == wanted


def test_files_without_bytes_come_unless_they_are_gone(pod: Pod) -> None:
    files = {**FILES, "empty": b"", "gone": b""}
    pod.write(files)
    (pod.run / "gone").unlink()
    (missing,) = pod.fetch().missing
    assert missing.path == "gone"
    assert content_of(pod.final) == {**FILES, "empty": b""}


def test_the_size_decides_how_a_file_comes(pod: Pod) -> None:
    most = small_files.SMALL
    pod.write({"small": bytes(most), "large": bytes(most + 1)})
    recording: Any = Recording(pod.agent)
    steps: list[tuple[int, int]] = []
    fetch_run(pod.transport, recording, RUN, pod.results, progress=lambda *step: steps.append(step))
    assert recording.asked == ["small"]
    assert steps == sorted(steps)
    assert steps[-1] == (2 * most + 1, 2 * most + 1)


def test_a_line_that_is_cut_leaves_what_came(endpoint: Endpoint, tmp_path: Path) -> None:
    files = {f"part/{number:03}": os.urandom(50_000) for number in range(200)}
    line = Line(endpoint.port)
    place = dataclasses.replace(endpoint, port=line.port)
    transport = connect(place, known_hosts=tmp_path / "known_hosts")
    try:
        pod = Pod(tmp_path, transport, endpoint.python)
        pod.write(files)

        def cut(done: int, _: int) -> None:
            if done > 4_000_000:
                line.drop()

        pod.refusal(UnreachableError, progress=cut)
        came = {path.name for path in pod.staging.rglob("*") if path.is_file()}
        assert 80 <= len(came) < 200
    finally:
        transport.close()
        line.cut()
    again = connect(endpoint, known_hosts=tmp_path / "known_hosts")
    try:
        recording: Any = Recording(Pod.agent_of(tmp_path, again, endpoint.python))
        fetch_run(again, recording, RUN, pod.results, what="all")
    finally:
        again.close()
    assert content_of(pod.final) == files
    # The last one that had come may be half written.
    assert len(recording.asked) <= 201 - len(came)


def test_a_disk_that_takes_no_further_file_is_named(pod: Pod) -> None:
    pod.write({f"{number}": b"x" for number in range(100)})
    with small_disk(pod.results, "size=8m,nr_inodes=40,mode=700") as is_there:
        if not is_there:
            pytest.skip("needs the right to mount a small file system")
        said = pod.refusal(LimitError)
        staged = [path for path in pod.staging.rglob("*") if path.is_file()]
    assert "can't be written, no inodes left, as df -i shows; remove files there" in said
    assert str(pod.staging) in said
    assert 20 < len(staged) < 40


REFUSED = '{"ok": false, "error": "unknown_run", "message": "no such run"}'
LIES = {
    "garbage": ("head -c 1000000 /dev/urandom", MoolaError, ""),
    "a line without an end": ("head -c 50000000 /dev/zero", TransferError, "expected a file"),
    "nothing": ("exit 0", UnreachableError, "exit code 0, expected an answer"),
    "hangs": ("exec sleep 20", UnreachableError, ""),
    "dies half way": ("printf 'F 1\\nwei'; exit 1", UnreachableError, "exit code 1"),
    "refuses": (f"echo '{REFUSED}'; exit 1", MoolaError, "no such run"),
    "agrees": ("""echo '{"ok": true}'""", TransferError, "expected a file, got: {"),
    "a time that there is not": ("echo F 9223372036854775808", TransferError, "expected a file"),
    "a time that is none": ("echo F 0x1", TransferError, "expected a file"),
    "a greeting": ("echo welcome; sleep 1", TransferError, "expected a file, got: welcome"),
    "an empty line": ("echo; sleep 1", TransferError, "expected a file, got: an empty line"),
    "escapes": ("printf '\\033[2J\\n'", TransferError, "expected a file"),
}


class Lying(Agent):
    """An agent that answers ``send`` with what a script says."""

    script = ""

    def argv(self, verb: str, *args: str) -> list[str]:
        if verb == "send":
            return ["sh", "-c", f"{self.script}"]
        return super().argv(verb, *args)


def lying(pod: Pod, script: str) -> None:
    agent = Lying(pod.transport, root=pod.agent.root, python=pod.agent.python)
    agent.script = script
    pod.agent = agent


@pytest.mark.parametrize(("script", "kind", "said"), LIES.values(), ids=LIES)
def test_nothing_is_promoted_from_an_agent_that_lies(
    script: str, kind: type[MoolaError], said: str, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_files, "SILENCE_S", 3.0)
    lying(pod, script)
    assert said in pod.refusal(kind)
    assert pod.transport.run(["echo", "alive"]).stdout == b"alive\n"


def test_what_is_not_as_declared_is_not_written(pod: Pod) -> None:
    lying(pod, "printf 'F 1\\nweighty'; printf 'X\\n'; printf 'F 1\\nsaid\\n'; cat /dev/zero")
    assert set(pod.lacking()) == {"artifacts/model.safetensors", "artifacts/sub/metrics.json"}
    assert [path for path in pod.staging.rglob("*") if path.is_file()] == []
