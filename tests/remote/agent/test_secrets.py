"""A run's secrets: in its environment while it lives, in no file afterwards."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.agent.layout import Run
from moola_remote.agent.redaction import Mask
from moola_remote.protocol.frames import Data, FrameParser
from tests.support.pods import AgentPod

pytestmark = pytest.mark.process

VALUE = 's3cret/"quoted"\\value'
STARS = "*" * len(VALUE)


def start(pod: AgentPod, script: str, **spec: Any) -> str:
    """A run with the secret TOKEN."""
    return pod.shell(script, secrets={"TOKEN": VALUE}, **spec)


def leftovers(pod: AgentPod) -> list[str]:
    """The files on the pod that hold the secret, as it is or within JSON."""
    forms = [VALUE.encode(), json.dumps(VALUE)[1:-1].encode()]
    files = [path for path in pod.root.rglob("*") if path.is_file()]
    return [path.name for path in files if any(form in path.read_bytes() for form in forms)]


def test_a_job_has_its_secret_and_no_file_keeps_it(pod: AgentPod) -> None:
    event = json.dumps({"kind": "note", "text": VALUE})
    script = f"printf '%s\\n' '{event}' >>\"$MOOLA_RUN_DIR/events.jsonl\"; exit 3"
    run_id = start(pod, "printf 'got %s\\n' \"$TOKEN\"; " + script)
    state = pod.wait(run_id)
    assert (state["state"], state["last_lines"]) == ("FAILED", [f"got {STARS}"])
    assert leftovers(pod) == []
    assert not (pod.folder(run_id) / Mask.FILE).exists()
    spec = json.loads((pod.folder(run_id) / "spec.json").read_bytes())
    assert spec["secret_names"] == ["TOKEN"]
    assert "secrets" not in spec
    events = (pod.folder(run_id) / "events.jsonl").read_text(encoding="utf-8")
    noted = [json.loads(line) for line in events.splitlines()]
    assert {"kind": "note", "text": "*" * len(json.dumps(VALUE)[1:-1])} in noted


def test_a_log_that_is_none_keeps_no_secret_in_the_events(pod: AgentPod) -> None:
    print_it = "printf '%s\\n' \"$TOKEN\" >>events.jsonl"
    run_id = start(pod, f"cd $MOOLA_RUN_DIR; rm log; mkdir log; {print_it}")
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    assert STARS in (pod.folder(run_id) / "events.jsonl").read_text(encoding="utf-8")
    assert leftovers(pod) == []


def test_a_secret_may_be_any_bytes(pod: AgentPod) -> None:
    value = os.fsdecode(b"latin-\xe9\xff!")
    run_id = pod.shell('printf %s "$TOKEN"', secrets={"TOKEN": value})
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    assert (pod.folder(run_id) / "log").read_bytes() == b"*" * 9


def test_a_queued_run_keeps_its_secret_in_a_private_file_and_loses_it_when_cancelled(
    pod: AgentPod,
) -> None:
    first = pod.shell("sleep 600")
    pod.wait(first, "RUNNING")
    second = start(pod, "exit 0")
    kept = pod.folder(second) / ".moola" / Mask.FILE
    assert kept.stat().st_mode & 0o777 == 0o600
    assert leftovers(pod) == [Mask.FILE]
    pod.ask("cancel", second)
    assert leftovers(pod) == []


@pytest.mark.parametrize("whom", [["supervisor"], ["supervisor", "keeper", "job"]])
def test_a_secret_is_wiped_also_after_its_watchers_died(pod: AgentPod, whom: list[str]) -> None:
    run_id = start(pod, 'printf "%s\n" "$TOKEN"; sleep 600', gpu=-1)
    pod.wait(run_id, "RUNNING")
    pod.wait_for_size(run_id, len(VALUE) + 1)
    pod.kill(run_id, *whom)
    pod.ask("cancel", run_id, "--grace", "0")  # the next contact
    assert pod.wait(run_id)["state"] in ("CANCELLED", "LOST")
    assert leftovers(pod) == []


def test_what_a_killed_start_has_left_is_swept(pod: AgentPod) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    aside = pod.root / "runs" / f".new-test-x-{gone.pid}"
    aside.mkdir(parents=True)
    (aside / Mask.FILE).write_text(json.dumps({"TOKEN": VALUE}))
    pod.wait(pod.shell("exit 0"))
    assert not aside.exists()


def test_a_follower_never_sees_it_however_it_is_written(pod: AgentPod) -> None:
    """Printed in two pieces, while it is followed from offset 2: into the secret's middle."""
    script = 'printf "%.9s" "$TOKEN"; until [ -e "$MOOLA_RUN_DIR/go" ]; do sleep 0.02; done; '
    run_id = start(pod, script + 'printf "%s\\nend s3" "${TOKEN#?????????}"', gpu=-1)
    pod.wait_for_size(run_id, 9)
    with subprocess.Popen(
        pod.argv("follow", run_id, "--log-offset", "2"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as follower:
        assert follower.stdout
        head = os.read(follower.stdout.fileno(), 1 << 16)
        (pod.folder(run_id) / "go").touch()
        everything = head + follower.stdout.read()
    frames = [frame for frame in FrameParser().feed(everything) if isinstance(frame, Data)]
    log = b"".join(frame.data for frame in frames if frame.file == "log")
    assert log == (STARS[2:] + "\nend s3").encode()
    assert (pod.folder(run_id) / "log").read_bytes() == (STARS + "\nend s3").encode()


@pytest.mark.parametrize(
    "secrets",
    [
        ["TOKEN"],
        {"a b": "x"},
        {"MOOLA_RUN_DIR": "x"},
        {"TOKEN": 3},
        {"TOKEN": "a\0b"},
        {"TOKEN": "\ud800"},
    ],
)
def test_a_wrong_secret_is_refused_without_its_value(pod: AgentPod, secrets: Any) -> None:
    spec = {"run_id": "test-x", "argv": ["true"], "secrets": secrets}
    answer = pod.ask("start", stdin=spec)
    assert answer["error"] == "bad_request"
    assert answer["message"].startswith("spec: secret ")
    assert not (pod.root / "runs" / "test-x").exists()


@given(
    st.lists(st.text("abc", min_size=6, max_size=9), min_size=1, max_size=3),
    st.lists(st.text("abc", max_size=4), max_size=12),
)
def test_no_secret_is_left_and_the_length_stays(secrets: list[str], pieces: list[str]) -> None:
    data = "".join(pieces + secrets + pieces).encode()
    struck = Mask(secrets).strike(data)
    assert len(struck) == len(data)
    assert not any(secret.encode() in struck for secret in secrets)


def test_a_secret_across_the_blocks_of_a_large_log_is_struck(tmp_path: Path) -> None:
    run = Run(tmp_path)
    mask = Mask([VALUE])
    filler = b"." * ((1 << 18) - 4)
    run.log.write_bytes(filler + VALUE.encode() + filler)
    mask.strike_file(run.log)
    assert run.log.read_bytes() == filler + STARS.encode() + filler


def test_a_multi_line_secret_is_struck_line_by_line() -> None:
    struck = Mask(["-----BEGIN\nabcdefgh\nij"]).strike(b"+ abcdefgh\n+ ij\n")
    assert struck == b"+ ********\n+ ij\n"
