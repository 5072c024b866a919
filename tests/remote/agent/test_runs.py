"""A run from its start to its end: exactly once, and reported truthfully."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process

PYTHON_38 = sorted(Path("~/.pyenv/versions").expanduser().glob("3.8*/bin/python"))


def test_twenty_starts_of_one_id_at_once_run_it_once(pod: AgentPod) -> None:
    spec = {"run_id": "test-at-once", "argv": ["sh", "-c", "echo ran"]}
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: pod.ask("start", stdin=spec), range(20)))
    pod.wait("test-at-once")
    assert [answer["ok"] for answer in answers] == [True] * 20
    assert sum(answer["started"] for answer in answers) == 1
    assert (pod.folder("test-at-once") / "log").read_text() == "ran\n"


def test_a_start_that_is_cut_anywhere_and_tried_again_runs_once(pod: AgentPod) -> None:
    dice = random.Random(4)
    for number in range(20):
        run_id = f"test-cut-{number}"
        spec = {"run_id": run_id, "argv": ["sh", "-c", "echo ran"], "gpu": -1}
        first = subprocess.Popen(
            pod.argv("start"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert first.stdin is not None
        first.stdin.write(json.dumps(spec).encode())
        first.stdin.close()
        time.sleep(dice.uniform(0, 0.25))
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert first.stdout is not None
        first.stdout.close()
        assert pod.ask("start", stdin=spec)["ok"]
        assert pod.wait(run_id)["state"] == "SUCCEEDED"
        assert (pod.folder(run_id) / "log").read_text() == "ran\n"


def test_words_that_are_no_utf8_are_run_as_they_are_and_shown_with_escapes(pod: AgentPod) -> None:
    """JSON has them as half surrogates, which no other reader of the state takes."""
    word = os.fsdecode(b"a\xffb")
    run_id = pod.start("sh", "-c", 'printf %s "$0$KEY"', word, env={"KEY": word})
    state = pod.wait(run_id)
    assert (state["state"], state["command"][-9:]) == ("SUCCEEDED", r" a\udcffb")
    assert (pod.folder(run_id) / "log").read_bytes() == b"a\xffba\xffb"
    missing = pod.wait(pod.start(word))
    assert missing["state"] == "FAILED"
    assert missing["reason"] == r"could not be started: a\udcffb: No such file or directory"


def test_starting_an_ended_run_again_answers_with_its_end(pod: AgentPod) -> None:
    run_id = pod.shell("exit 3")
    pod.wait(run_id)
    answer = pod.ask("start", stdin={"run_id": run_id, "argv": ["sh", "-c", "exit 0"]})
    assert (answer["started"], answer["state"]["state"]) == (False, "FAILED")


def test_a_job_has_its_folders_and_its_own_session_and_nothing_of_ours(pod: AgentPod) -> None:
    script = 'pwd; env; ls -l /proc/self/fd; ps -o sid= -p $$; trap; echo "stdin: $(cat)"'
    run_id = pod.shell(script, env={"SAID": "it's; $HOME"})
    pod.wait(run_id)
    log = (pod.folder(run_id) / "log").read_text()
    folder = pod.folder(run_id)
    for line in (
        str(folder),
        f"MOOLA_RUN_DIR={folder}",
        f"MOOLA_RUN_ID={run_id}",
        "PYTHONUNBUFFERED=1",
        f"PYTHONPYCACHEPREFIX={pod.root}/cache/pycache",
        "SAID=it's; $HOME",
        "stdin: ",
    ):
        assert line in log.splitlines()
    assert "lock" not in log
    assert "MOOLA_DATA_DIR" not in log


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("exit 0", ("SUCCEEDED", 0, None, None)),
        ("exit 3", ("FAILED", 3, None, "exit code 3")),
        ("kill -SEGV $$", ("FAILED", None, "SIGSEGV", "killed by SIGSEGV")),
        ("kill -KILL $$", ("FAILED", None, "SIGKILL", "killed by SIGKILL")),
    ],
)
def test_the_end_is_reported_as_it_was(
    pod: AgentPod, script: str, expected: tuple[Any, ...]
) -> None:
    state = pod.wait(pod.shell(f"echo some words; {script}"))
    assert (state["state"], state["returncode"], state["signal"], state["reason"]) == expected
    assert state["last_lines"] == ["some words"]
    assert not state["oom_killed"]


def test_a_program_that_is_not_there_is_a_failure_with_its_name(pod: AgentPod) -> None:
    state = pod.wait(pod.start("no-such-program"))
    assert state["state"] == "FAILED"
    assert state["reason"] == "could not be started: no-such-program: No such file or directory"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("#!/bin/sh\r\n", 0o755, "the program of its first line, #!/bin/sh, and it ends as on Win"),
        ("#!/no/such/python\n", 0o755, "the program of its first line, #!/no/such/python"),
        ("echo hi\n", 0o755, "no first line such as #!/bin/sh"),
        ("", 0o755, "no first line such as #!/bin/sh"),
        ("#!/bin/sh\n", 0o644, "it is not executable; chmod +x"),
        ("#!/etc/passwd\n", 0o755, "denied: the program of its first line, #!/etc/passwd"),
    ],
)
def test_a_script_that_can_not_be_started_says_why(
    pod: AgentPod, tmp_path: Path, content: str, mode: int, said: str
) -> None:
    script = tmp_path / "go"
    script.write_text(content)
    script.chmod(mode)
    state = pod.wait(pod.start(str(script)))
    assert state["state"] == "FAILED"
    assert said in state["reason"]


@pytest.mark.parametrize("kind", ["code", "data", "environment"])
def test_a_run_on_something_that_is_not_deployed_fails_and_says_so(
    pod: AgentPod, kind: str
) -> None:
    state = pod.wait(pod.shell("echo no", **{kind: "0123456789abcdef"}))
    assert state["state"] == "FAILED"
    assert f"{kind} 0123456789abcdef is not on the pod" in state["reason"]


def test_sigterm_from_outside_and_exit_code_143_is_preempted(pod: AgentPod) -> None:
    run_id = pod.shell("trap 'exit 143' TERM; echo ready; while :; do sleep 0.05; done")
    pod.wait_for_log(run_id, "ready")
    pod.wait(run_id, "RUNNING")
    os.kill(pod.process(run_id, "job"), signal.SIGTERM)
    assert pod.wait(run_id)["state"] == "PREEMPTED"


def test_when_the_pod_is_stopped_the_job_may_write_its_checkpoint(pod: AgentPod) -> None:
    run_id = pod.shell("trap 'echo saved; exit 143' TERM; echo ready; while :; do sleep 0.05; done")
    pod.wait_for_log(run_id, "ready")
    os.kill(pod.process(run_id, "supervisor"), signal.SIGTERM)
    state = pod.wait(run_id)
    assert state["state"] == "PREEMPTED"
    assert state["reason"] == "the pod is being stopped (exit code 143)"
    assert state["last_lines"][-1] == "saved"


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        ({"max_time_s": 0.3}, "max_time_s 0.3"),
        ({"max_time_s": 60, "max_cost_usd": 0.001}, "max_cost_usd 0.001"),
    ],
)
def test_a_limit_ends_the_job_as_preempted(
    pod: AgentPod, limits: dict[str, float], name: str
) -> None:
    state = pod.wait(pod.shell("exec sleep 600", limits=limits, price_per_hour=12.0))
    assert state["state"] == "PREEMPTED"
    assert state["reason"] == f"its limit was reached: {name} (killed by SIGTERM)"


def test_the_last_lines_are_what_a_terminal_would_show(pod: AgentPod) -> None:
    state = pod.wait(pod.shell(r"seq 40; printf '10%%\r100%%\r\n\377'"))
    assert state["last_lines"] == [str(number) for number in range(18, 41)] + ["100%", "\ufffd"]


def test_the_manifest_names_everything_below_the_run_but_our_own_files(pod: AgentPod) -> None:
    run_id = pod.shell(
        "mkdir -p artifacts checkpoints/epoch-0001 checkpoints/.epoch-0002; echo a >artifacts/a;"
        "echo b >checkpoints/epoch-0001/b; echo c >checkpoints/.epoch-0002/c;"
        "ln -s /etc/passwd link; mkfifo pipe; mkdir -p 'odd\nname'; echo d >'odd\nname/\"d'"
    )
    state = pod.wait(run_id)
    content = (pod.folder(run_id) / "manifest.json").read_bytes()
    manifest = json.loads(content)
    files = manifest["files"]
    assert manifest["links"] == [{"path": "link", "target": "/etc/passwd"}]
    assert manifest["unreadable"] == [{"path": "pipe", "reason": "a pipe", "size": 0}]
    assert manifest["folders"] == []
    assert state["manifest_sha256"] == hashlib.sha256(content).hexdigest()
    assert [file["path"] for file in files] == [
        *("artifacts/a", "checkpoints/.epoch-0002/c", "checkpoints/epoch-0001/b"),
        *("events.jsonl", "log"),
        *('odd\nname/"d', "spec.json"),
    ]
    assert files[0] == {"path": "artifacts/a", "size": 2, "sha256": sha256(b"a\n")}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_lost_manifest_is_made_again(pod: AgentPod) -> None:
    run_id = pod.shell("echo a >a")
    before = pod.wait(run_id)["manifest_sha256"]
    (pod.folder(run_id) / "manifest.json").unlink()
    wait_until(lambda: pod.ask("manifest", run_id)["ok"])
    assert pod.stored(run_id)["manifest_sha256"] == before


def test_on_finish_runs_on_the_pod_after_the_end(pod: AgentPod) -> None:
    run_id = pod.shell("exit 3", on_finish='echo "$MOOLA_STATE" >.finished')
    finished = pod.folder(run_id) / ".finished"
    wait_until(lambda: finished.exists() and finished.read_text() == "FAILED\n")
    assert pod.stored(run_id)["state"] == "FAILED"


@pytest.mark.parametrize(
    "spec",
    [
        {"run_id": "../x", "argv": ["true"]},
        {"run_id": "test-x", "argv": []},
        {"run_id": "test-x", "argv": "true"},
        {"run_id": "test-x", "argv": ["true"], "env": {"A": 1}},
        {"run_id": "test-x", "argv": ["true"], "code": "../../etc"},
    ],
)
def test_a_bad_spec_is_refused_and_leaves_nothing(pod: AgentPod, spec: dict[str, Any]) -> None:
    answer = pod.ask("start", stdin=spec)
    assert (answer["ok"], answer["error"]) == (False, "bad_request")
    assert not (pod.root / "runs").exists()


def test_an_unknown_run_is_said_to_be_unknown(pod: AgentPod) -> None:
    assert pod.ask("state", "test-none")["error"] == "unknown_run"


def test_list_has_the_newest_last(pod: AgentPod) -> None:
    ids = [pod.shell("true") for _ in range(3)]
    assert [run["run_id"] for run in pod.ask("list")["runs"]] == ids


def test_the_folder_is_private(pod: AgentPod) -> None:
    run_id = pod.shell("true")
    assert pod.root.stat().st_mode & 0o777 == 0o700
    assert (pod.folder(run_id) / "spec.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not PYTHON_38, reason="no Python 3.8 here")
def test_it_runs_under_the_oldest_python_that_is_promised(pod: AgentPod) -> None:
    pod.python = str(PYTHON_38[0])
    assert pod.ask("probe")["python"].startswith("3.8.")
    run_id = pod.shell("echo ran; sleep 600")
    pod.wait_for_log(run_id, "ran")
    assert pod.ask("cancel", run_id)["state"]["state"] == "CANCELLED"
