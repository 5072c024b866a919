"""The laptop asks the agent: one round trip, typed answers, errors in one line."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.answers import read_answer
from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import (
    cancel,
    get_state,
    get_state_and_manifest,
    list_page,
    list_runs,
    make_manifest,
    submit,
)
from moola_remote.config.typed import typed
from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    RunLostError,
    TransferError,
    UnknownRunError,
    UnreachableError,
)
from moola_remote.protocol.refusal import refusal
from moola_remote.protocol.state import RunState, read_state
from moola_remote.runs.select import choose, resolve
from tests.support.fakes import ShellTransport
from tests.support.pods import AgentPod, put_agent, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def transport(tmp_path: Path) -> ShellTransport:
    return ShellTransport(tmp_path)


@pytest.fixture
def unsent(transport: ShellTransport, pod: AgentPod) -> Agent:
    """The agent of a pod that nobody has asked yet."""
    return Agent(transport, root=str(pod.root), python=sys.executable)


@pytest.fixture
def agent(unsent: Agent) -> Agent:
    put_agent(unsent.root)
    return unsent


def spec(*argv: str, label: str = "test") -> dict[str, Any]:
    return {
        "schema": 1,
        "run_id": f"20261122-153012-{label}-{secrets.token_hex(2)}",
        "argv": list(argv),
    }


def test_the_agent_is_sent_once_and_then_asked_in_one_round_trip(
    unsent: Agent, transport: ShellTransport
) -> None:
    assert unsent.call("probe")["trees"] == {"code": [], "data": []}
    assert len(transport.commands) == 3
    transport.commands.clear()
    unsent.call("probe")
    assert len(transport.commands) == 1
    sent = Path(unsent.root, "agent", f"{unsent.digest}.pyz")
    assert sent.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in sent.parent.iterdir()] == [sent.name]


def test_an_upload_that_is_cut_leaves_no_agent(unsent: Agent, transport: ShellTransport) -> None:
    whole, unsent._content = unsent._content, unsent._content + b"#"
    real_run = transport.run

    def cut(argv: Any, *, stdin: bytes = b"", timeout_s: float = 60.0) -> Any:
        return real_run(argv, stdin=stdin[:-1], timeout_s=timeout_s)

    transport.run = cut  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="can't be written: it arrived in part"):
        unsent.upload()
    assert not Path(unsent.root, "agent", f"{unsent.digest}.pyz").exists()
    transport.run = real_run  # type: ignore[method-assign]
    unsent._content = whole
    assert unsent.call("list")["runs"] == []


@pytest.mark.parametrize("folder", ["a'b; echo x", "new\nline", "-n", "$HOME"])
def test_odd_roots_are_only_names(transport: ShellTransport, tmp_path: Path, folder: str) -> None:
    agent = Agent(transport, root=str(tmp_path / folder), python=sys.executable)
    assert list_runs(agent) == []
    assert (tmp_path / folder / "agent").is_dir()


def test_a_run_is_submitted_once_and_seen(agent: Agent, pod: AgentPod) -> None:
    asked = spec("sh", "-c", "echo hi; exit 3")
    assert submit(agent, asked).is_new
    assert not submit(agent, asked).is_new
    pod.wait(asked["run_id"])
    state = get_state(agent, asked["run_id"])
    assert state.has_ended
    assert (state.state, state.returncode, state.reason) == ("FAILED", 3, "exit code 3")
    assert state.last_lines == ["hi"]
    digest = make_manifest(agent, asked["run_id"])
    assert digest == state.manifest_sha256
    # The state and the manifest at once: its text goes with it where another one lies here.
    there = (pod.folder(asked["run_id"]) / "manifest.json").read_bytes()
    for have, text in ((digest, b""), ("0" * 64, there)):
        found, named = get_state_and_manifest(agent, asked["run_id"], have)
        assert (found.run_id, found.state, named) == (state.run_id, "FAILED", (digest, text))


def test_what_has_no_manifest_is_asked_for_its_state_alone(agent: Agent, pod: AgentPod) -> None:
    asked = spec("sleep", "60")
    submit(agent, asked)
    pod.wait(asked["run_id"], "RUNNING")
    state, named = get_state_and_manifest(agent, asked["run_id"], "")
    assert (state.state, named) == ("RUNNING", None)
    with pytest.raises(ConfigError, match=f"unknown, expected for example {asked['run_id']}"):
        get_state_and_manifest(agent, asked["run_id"][:-1] + "x", "")


def test_a_run_is_cancelled_and_that_is_verified(agent: Agent) -> None:
    asked = spec("sleep", "60")
    submit(agent, asked)
    ended = cancel(agent, asked["run_id"], grace_s=5)
    assert (ended.state.state, ended.num_killed) == ("CANCELLED", 1)


def test_a_run_is_found_by_its_id_its_beginning_or_as_the_latest(agent: Agent) -> None:
    for label in ("jade", "seed", "crf"):
        submit(agent, spec("true", label=label))
    runs = [run.run_id for run in list_runs(agent)]
    assert resolve(agent).run_id == runs[-1]
    assert resolve(agent, runs[1]).run_id == runs[1]
    assert resolve(agent, "20261122-153012-j").run_id == runs[0]
    with pytest.raises(ConfigError, match=r"3 begin so, the newest: .*; name one"):
        resolve(agent, "2026")
    with pytest.raises(ConfigError, match=f"unknown, expected for example .*{runs[0]}"):
        resolve(agent, runs[0][:-1] + ("0" if runs[0][-1] != "0" else "1"))


def test_without_runs_there_is_no_latest(agent: Agent) -> None:
    with pytest.raises(
        ConfigError, match="there are none on the pod; moola-remote run -- python SCRIPT"
    ):
        resolve(agent)


def test_a_page_has_what_has_not_ended_and_the_newest_of_what_has(agent: Agent) -> None:
    started = [spec(*argv) for argv in (("sleep", "60"), *[("true",)] * 4)]
    for asked in started:
        submit(agent, {**asked, "gpu": -1})
    ids = [str(asked["run_id"]) for asked in started]
    wait_until(lambda: sum(run.has_ended for run in list_runs(agent)) == 4)
    pages = {last: list_page(agent, last=last) for last in (0, 1, 3, 4, 9)}
    assert {last: page.num_older for last, page in pages.items()} == {0: 4, 1: 3, 3: 1, 4: 0, 9: 0}
    assert [run.run_id for run in pages[1].states] == [ids[0], ids[4]]
    assert (
        [run.run_id for run in pages[9].states] == ids == [run.run_id for run in list_runs(agent)]
    )
    assert [run.run_id for run in list_page(agent, prefix=ids[2]).states] == [ids[2]]
    assert list_page(agent, prefix="no-such").states == []
    cancel(agent, ids[0], grace_s=0)


def test_of_many_that_begin_alike_all_are_counted(agent: Agent) -> None:
    runs = [spec("true")["run_id"] for _ in range(3)]
    states = [read_state({"run_id": str(run_id), "state": "SUCCEEDED"}) for run_id in runs]
    with pytest.raises(ConfigError, match="63 begin so"):
        choose(states, "2", 60)


def test_a_pod_without_our_python_is_said_to_have_none(transport: ShellTransport) -> None:
    agent = Agent(transport, root="/nowhere", python="no-such-python")
    with pytest.raises(
        UnreachableError, match=r"no-such-python: not on the pod, or older than 3\.8"
    ):
        agent.call("probe")


def test_a_root_that_can_not_be_written_is_one_line(transport: ShellTransport) -> None:
    with pytest.raises(ConfigError, match=r"^pod far: /dev/null/agent can't be written: "):
        Agent(transport, root="/dev/null", python=sys.executable, name="far").call("probe")


@pytest.fixture
def bare_agent(transport: ShellTransport, pod: AgentPod, bare_python: Path) -> Agent:
    return Agent(transport, root=str(pod.root), python=str(bare_python))


def test_the_environments_progress_is_said_line_by_line(bare_agent: Agent) -> None:
    agent = bare_agent
    said: list[str] = []
    answer = agent.environment("0123456789abcdef", {"requirements": ""}, say=said.append)
    assert answer["created"] is True
    assert said[0].startswith("making env/0123456789abcdef over Python 3.")
    again: list[str] = []
    assert (
        agent.environment("0123456789abcdef", {"requirements": ""}, say=again.append)["created"]
        is False
    )
    assert again == []


def test_an_environment_that_fails_says_why(
    bare_agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    asked = {"requirements": "no-such-package-of-ours"}
    with pytest.raises(ConfigError, match=r"installing packages failed: .*no-such-package-of-ours"):
        bare_agent.environment("0123456789abcdef", asked, say=lambda _: None)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("unknown_run", UnknownRunError),
        ("different", TransferError),
        ("disk_full", LimitError),
        ("bad_run", RunLostError),
        ("what an agent of next year says", UnreachableError),
    ],
)
def test_each_refusal_has_its_class(code: str, error: type[MoolaError]) -> None:
    assert type(refusal({"error": code, "message": "m"})) is error


def test_a_file_that_the_system_refuses_has_a_cure() -> None:
    refused = {"error": "io", "message": "pod: /x/queue.lock: Permission denied"}
    text = str(refusal(refused, "pod far"))
    assert text.startswith("pod far: /x/queue.lock: Permission denied; see to that file there")
    refused["message"] = "pod: /x/queue.lock: Read-only file system"
    text = str(refusal(refused, "pod far"))
    assert text == (
        "pod far: /x/queue.lock: Read-only file system; make its disk writable there, or name "
        "another `root` in the pod's file"
    )


def test_a_refusal_names_some_files_and_hides_no_escape() -> None:
    names = ["a\x1b[2J", "b", "c", "d"]
    text = str(refusal({"error": "different", "message": "no", "missing": names}))
    assert text.startswith(r"no: a\x1b[2J, b, c, ...; send it again")


@pytest.mark.parametrize("stdout", [b"", b"[]", b"welcome to the pod\n", b'{"ok": tru'])
def test_what_is_no_answer_is_said_with_the_last_words(stdout: bytes) -> None:
    with pytest.raises(UnreachableError, match="agent x: exit code 1, expected an answer, got: E!"):
        read_answer(stdout, 1, b"Traceback\nE!\n", what="agent x")


def test_a_hostile_state_is_bounded_and_made_safe() -> None:
    state = read_state(
        {
            "run_id": "r",
            "state": "FAILED",
            "reason": "\x1b]52;c;x\x07" + "x" * 10_000,
            "last_lines": ["\x1b[2J"] * 1000,
            "unheard of": {"deep": []},
        }
    )
    assert len(state.reason or "") < 600
    assert "\x1b" not in (state.reason or "") + "".join(state.last_lines)
    assert len(state.last_lines) == 25


@pytest.mark.parametrize("changes", [{"state": "GONE"}, {"log_size": -1}, {"run_id": None}])
def test_a_state_of_wrong_types_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TransferError, match="agent: state: "):
        read_state({"run_id": "r", "state": "LOST", **changes})


@pytest.mark.parametrize(
    ("share", "price", "words"),
    [(None, 2.0, ""), (0.004, 2.0, ""), (0.25, None, "25%"), (0.25, 2.0, "25% $0.05")],
)
def test_idleness_is_reported_with_its_price(
    share: float | None, price: float | None, words: str
) -> None:
    state = RunState(
        run_id="r",
        state="SUCCEEDED",
        started_at=1000.0,
        ended_at=1360.0,
        idle_share=share,
        price_per_hour=price,
    )
    assert state.idle == words


def test_a_state_as_stored_is_read_whole(pod: AgentPod) -> None:
    run_id = pod.shell("true")
    pod.wait(run_id)
    answer = json.loads(json.dumps(pod.state(run_id)))
    state = typed(RunState, answer)
    for key in RunState.__struct_fields__:
        assert getattr(state, key) == answer[key]
