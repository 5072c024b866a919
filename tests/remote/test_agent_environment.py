"""The environment: over the pod's own Python, made once, complete when its marker is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.remote.pods import AgentPod

DIGEST = "0123456789abcdef"


def make(pod: AgentPod, bare_python: Path, requirements: str) -> dict[str, object]:
    # An index that doesn't exist: whoever asks the network fails.
    pod.env["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    pod.env["PIP_RETRIES"] = "0"
    return pod.ask("environment", DIGEST, "--python", str(bare_python), stdin=requirements)


def test_what_the_base_has_is_used_and_nothing_is_downloaded(
    pod: AgentPod, bare_python: Path
) -> None:
    answer = make(pod, bare_python, "candle>=2\n")
    assert answer["ok"], answer
    assert answer["created"] is True
    packages = answer["packages"]
    assert isinstance(packages, dict)
    assert packages["wick"] == "2.5"
    assert answer["torch"] is None
    assert pod.ask("probe")["environments"] == [DIGEST]
    program = "import sys, candle; print(candle.VALUE, sys.prefix, '/nowhere/at/all' in sys.path)"
    state = pod.wait(pod.start("python", "-c", program, environment=DIGEST))
    assert state["last_lines"] == [f"7 {pod.root}/env/{DIGEST} False"]
    state = pod.wait(pod.shell("command -v python", environment=DIGEST))
    assert state["last_lines"] == [f"{pod.root}/env/{DIGEST}/bin/python"]


def test_it_is_made_once_also_by_two_at_once(pod: AgentPod, bare_python: Path) -> None:
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda _: make(pod, bare_python, "candle"), range(2)))
    assert sorted(answer["created"] is True for answer in answers) == [False, True]
    assert answers[0]["packages"] == answers[1]["packages"]


def test_one_that_was_not_finished_is_made_anew(pod: AgentPod, bare_python: Path) -> None:
    torn = pod.root / "env" / DIGEST
    (torn / "bin").mkdir(parents=True)
    (torn / "rest").touch()
    assert make(pod, bare_python, "candle")["created"] is True
    assert not (torn / "rest").exists()


def test_what_can_not_be_installed_is_one_line_and_leaves_no_marker(
    pod: AgentPod, bare_python: Path
) -> None:
    answer = make(pod, bare_python, "candle>=3\n")
    assert (answer["ok"], answer["error"]) == (False, "environment")
    assert "candle>=3" in str(answer["message"])
    assert pod.ask("probe")["environments"] == []


def test_a_python_that_is_not_there_is_one_line(pod: AgentPod) -> None:
    answer = make(pod, Path("/no/such/python"), "candle\n")
    assert answer["message"] == "/no/such/python: No such file or directory"
