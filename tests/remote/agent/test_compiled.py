"""The agent's byte code: kept by the first verb that answers, used by those behind it."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moola_remote.agent.cli import parse
from moola_remote.agent.errors import AgentError
from moola_remote.agent_client.program import START, agent_program
from tests.remote.agent.test_program import PYTHONS
from tests.support.pods import AgentPod

DIGEST, CONTENT = agent_program()


@pytest.fixture
def sent(pod: AgentPod) -> AgentPod:
    """A pod with the agent as it is sent."""
    pod.agent = pod.root / "agent" / f"{DIGEST}.pyz"
    pod.agent.parent.mkdir(parents=True)
    pod.agent.write_bytes(CONTENT)
    return pod


def kept(pod: AgentPod) -> list[Path]:
    folder = pod.root / "cache" / "agent"
    return sorted(folder.iterdir()) if folder.exists() else []


def take_sources(pod: AgentPod) -> None:
    """Leave the program its first lines alone: what it does then is the byte code's."""
    with zipfile.ZipFile(pod.agent, "w") as archive:
        archive.writestr("__main__.py", START)


@pytest.mark.process
@pytest.mark.parametrize("python", PYTHONS)
def test_later_verbs_compile_nothing(sent: AgentPod, python: str) -> None:
    sent.python = python
    assert sent.ask("list")["runs"] == []
    (one,) = kept(sent)
    assert one.name.startswith(f"{DIGEST}.cpython-")
    inode = one.stat().st_ino
    take_sources(sent)
    assert sent.ask("probe")["python"]
    # Its supervisor and its sleeper come out of it, too.
    assert sent.wait(sent.shell("exit 3"))["returncode"] == 3
    waits = [sent.shell("sleep 600") for _ in range(3)]
    for run_id in reversed(waits):
        sent.ask("cancel", run_id, "--grace", "0")
    assert [path.stat().st_ino for path in kept(sent)] == [inode]
    sent.agent.write_bytes(CONTENT)


@pytest.mark.process
def test_a_torn_one_counts_as_none_and_is_replaced(sent: AgentPod) -> None:
    sent.ask("list")
    (one,) = kept(sent)
    whole = one.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        one.write_bytes(whole[:size])
        assert sent.ask("list")["ok"]
        assert kept(sent) == [one]
        assert zipfile.is_zipfile(one)


@pytest.mark.process
def test_where_it_can_not_be_kept_the_verb_answers(sent: AgentPod) -> None:
    (sent.root / "cache").mkdir()
    (sent.root / "cache" / "agent").write_text("in the way")
    done = subprocess.run(sent.argv("list"), capture_output=True, check=True)
    assert b'"ok": true' in done.stdout
    assert done.stderr == b""


@pytest.mark.process
def test_of_several_at_once_one_keeps_it(sent: AgentPod) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: sent.ask("list"), range(4)))
    assert all(answer["ok"] for answer in answers)
    assert len(kept(sent)) == 1


@pytest.mark.process
def test_a_program_that_lies_elsewhere_leaves_nothing(sent: AgentPod, tmp_path: Path) -> None:
    sent.agent = Path(shutil.copy(sent.agent, tmp_path / "copy.pyz"))
    assert sent.ask("list")["ok"]
    assert not kept(sent)
    assert not (tmp_path / "cache").exists()


def test_a_command_line_is_words_and_options_of_the_verb() -> None:
    call = parse(["--root", "/r", "follow", "one", "--log-offset", "5", "--event-generation=3:4"])
    assert (call.root, call.verb) == (Path("/r"), "follow")
    found = {name: value for name, value in call.given.items() if value}
    assert found == {"run": "one", "log_offset": 5, "event_generation": "3:4"}
    assert parse(["--root", "/r", "guard", "--watch"]).verb == "guard --watch"
    assert parse(["--root", "/r", "list", "--facts", "--prefix=2026-x"]).given == {
        "facts": True, "last": None, "prefix": "2026-x",
    }  # fmt: skip
    assert parse(["--root", "/r", "cancel", "one", "--grace", "-1"]).given["grace"] == -1.0


@pytest.mark.parametrize(
    "words",
    [
        [], ["no-such"], ["state"], ["state", "one", "two"], ["state", "one", "--facts"],
        ["seal", "home", "0123456789abcdef"], ["list", "--last"], ["cancel", "one", "--grace=x"],
        ["guard --watch", "more"], ["list", "--watch"],
    ],
)  # fmt: skip
def test_any_other_command_line_is_refused_in_one_line(words: list[str]) -> None:
    with pytest.raises(AgentError) as refused:
        parse(["--root", "/r", *words])
    assert refused.value.answer["error"] == "bad_request"
    assert "expected" in str(refused.value)
    assert "\n" not in str(refused.value)
