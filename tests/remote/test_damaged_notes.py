"""Notes of this laptop that are damaged: journals, specs, commands for the end, pins."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from moola_remote.errors import ConfigError, HostKeyError
from moola_remote.follow.journal import BLOCK, Journal
from moola_remote.pods.pod import Pod
from moola_remote.protocol.state import RunState
from moola_remote.runs.local_state import Hook, LocalRun
from moola_remote.runs.parents import _spec_of
from moola_remote.runs.record import find_record
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts


@pytest.mark.parametrize("nuls", [1, 800, BLOCK, 3 * BLOCK + 5])
@pytest.mark.parametrize("kept", [0, 1, 1000, BLOCK])
def test_nuls_at_a_journals_end_are_not_believed(tmp_path: Path, nuls: int, kept: int) -> None:
    content = (b"a\0line\n" * BLOCK)[:kept]
    content = content[:-1] + b"\n" if content else b""
    (tmp_path / "log").write_bytes(content + bytes(nuls))
    with Journal(tmp_path) as journal:
        assert journal.size("log") == kept
        journal.write("log", kept, b"b" * nuls)
        assert journal.size("log") == kept + nuls
    assert (tmp_path / "log").read_bytes() == content + b"b" * nuls


SPEC = {"run_id": "r-1", "argv": ["true"], "code": "a" * 16}


def _pod(tmp_path: Path, **far: Any) -> Pod:
    """A pod that has the run, with a laptop that has damaged notes."""
    noted = tmp_path / "journals" / "gpu" / "r-1"
    noted.mkdir(parents=True)
    (noted / "spec.json").write_bytes(b"")
    laptop = SimpleNamespace(journals=tmp_path / "journals", journal=lambda *_: noted)
    project = SimpleNamespace(results_folder=tmp_path / "results")
    agent = SimpleNamespace(
        call=lambda *_: {"spec": SPEC, "state": None, "config": None, "run": None}
    )
    return cast(
        Pod, SimpleNamespace(name="gpu", laptop=laptop, project=project, agent=agent, **far)
    )


def test_a_damaged_note_is_passed_over_and_repaired_from_the_pods(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pod = _pod(tmp_path)
    state = RunState(run_id="r-1", state="FAILED")
    record = find_record(pod, "r-1", lambda _: state)
    assert record.spec.argv == ["true"]
    assert "was damaged, the spec is that of pod gpu" in caplog.text
    assert json.loads((tmp_path / "journals/gpu/r-1/spec.json").read_bytes()) == SPEC
    caplog.clear()
    assert find_record(pod, "r-1", lambda _: state).spec.argv == ["true"]
    assert caplog.text == ""


def test_a_damaged_note_is_no_hindrance_to_going_on(tmp_path: Path) -> None:
    pod = _pod(tmp_path)
    with pytest.raises(ConfigError, match="not the spec of a run"):
        _spec_of(pod, "r-1", None, "gpu")
    (tmp_path / "results" / "r-1").mkdir(parents=True)
    (tmp_path / "results" / "r-1" / "spec.json").write_text(json.dumps(SPEC))
    assert _spec_of(pod, "r-1", None, "gpu").whole == SPEC
    assert json.loads((tmp_path / "journals/gpu/r-1/spec.json").read_bytes()) == SPEC


def test_a_damaged_command_for_the_end_is_taken_from_its_copy_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = LocalRun(tmp_path)
    notes.keep_hook(Hook("true", "/"))
    (tmp_path / "on_finish.json").write_bytes(b"")
    assert notes.take_hook() == Hook("true", "/")
    assert notes.take_hook() is None
    notes.keep_hook(Hook("true", "/"))
    for name in ("on_finish.json", "on_finish.copy.json"):
        (tmp_path / name).write_bytes(b"")
    assert notes.take_hook() is None
    assert "is not run" in caplog.text


HOST_KEYS = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([number]) * 32 for number in range(2)]


def _endpoint(scope: str) -> Endpoint:
    bare = dict.fromkeys(("identity_file", "host_key", "known_key", "price_per_hour"))
    more = {"user": "u", "root": "/r", "python": "python3", "scope": scope, **bare}
    return Endpoint(name="gpu", host="h", port=22, **cast(Any, more))


def test_two_projects_with_a_pod_of_one_name_have_a_pin_each(tmp_path: Path) -> None:
    pins = KnownHosts(tmp_path / "known_hosts")
    for scope, key in zip(("aa", "bb"), HOST_KEYS, strict=True):
        pins.check(_endpoint(scope), key, lambda _: True)
    for scope, key in zip(("aa", "bb"), HOST_KEYS, strict=True):
        pins.check(_endpoint(scope), key, None)
    for scope, key in zip(("bb", "aa"), HOST_KEYS, strict=True):
        with pytest.raises(HostKeyError, match="has changed") as caught:
            pins.check(_endpoint(scope), key, lambda _: True)
        named = "moola-gpu" if scope == "aa" else f"moola-gpu-{scope}"
        assert f"ssh-keygen -R {named} -f" in caught.value.cure


def test_a_pin_of_an_older_version_still_counts(tmp_path: Path) -> None:
    pins = KnownHosts(tmp_path / "known_hosts")
    pins.pin("gpu", HOST_KEYS[0])
    with pytest.raises(HostKeyError, match="has changed") as caught:
        pins.check(_endpoint("aa"), HOST_KEYS[1], lambda _: True)
    assert "ssh-keygen -R moola-gpu -f" in caught.value.cure
    pins.check(_endpoint("aa"), HOST_KEYS[0], None)
    pins.check(_endpoint("bb"), HOST_KEYS[1], lambda _: True)  # it is known whose that pin is
    assert (pins.get("gpu"), pins.get("gpu-bb")) == (HOST_KEYS[0], HOST_KEYS[1])
    with pytest.raises(HostKeyError, match="has changed"):
        pins.check(_endpoint("aa"), HOST_KEYS[1], lambda _: True)
    assert base64.b64encode(HOST_KEYS[0]).decode() in pins.path.read_text()


def test_an_endpoint_without_a_scope_is_pinned_by_its_name() -> None:
    assert _endpoint("").pin == "gpu"
    assert replace(_endpoint(""), scope="aa").pin == "gpu-aa"
