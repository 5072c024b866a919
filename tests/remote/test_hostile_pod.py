"""A pod that lies behind a real SSH server: its rsync by the protocol, its agent in every answer.

Whatever it says: nothing outside the staging folder, nothing above the caps, nothing promoted, and
one line that can be shown.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent, probe
from moola_remote.agent_client.verbs import get_state, list_runs
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.deploy import Deployed, Plan
from moola_remote.deploy.snapshot import Tree
from moola_remote.errors import LimitError, MoolaError, TransferError, UnreachableError
from moola_remote.follow import follower
from moola_remote.follow import journal as journal_module
from moola_remote.follow.follower import Listener
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import Link
from moola_remote.protocol.answers import Environment
from moola_remote.protocol.types import read_answer_as
from moola_remote.results.fetched import Caps
from moola_remote.rsync import argv, process
from moola_remote.ssh import ssh_transport
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support import lying_rsync
from tests.support.fetching import FILES, RUN, Pod, content_of
from tests.support.plain import is_one_line
from tests.support.projects import Project, make_project
from tests.support.servers import SSHD, running_openssh

pytestmark = pytest.mark.process

# The lies that harm nobody: what arrives is as declared, or is not there.
HARMLESS = {"none", "set-uid"}


@pytest.fixture(scope="module")
def lying_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Path]]:
    """An OpenSSH server, and the program that answers there to the name of rsync."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here")
    folder = tmp_path_factory.mktemp("lying")
    program = folder / "bin" / "rsync"
    program.parent.mkdir()
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # the server's alone: ours stays honest
            patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
            server = stack.enter_context(running_openssh(folder / "sshd"))
        yield server, program


@pytest.fixture
def liar(
    lying_server: tuple[Endpoint, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    by_rsync: None,
) -> Iterator[Pod]:
    """A pod whose rsync lies as the parameter says."""
    server, program = lying_server
    script = Path(lying_rsync.__file__)
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -S {script} '{request.param}' \"$@\"\n")
    program.chmod(0o755)
    transport = connect(server, known_hosts=tmp_path / "known_hosts")
    yield Pod(tmp_path / "top", transport, server.python)
    transport.close()


def _around(top: Path) -> set[str]:
    """Everything there but what is the pod's own."""
    return {
        path.relative_to(top).as_posix()
        for path in top.rglob("*")
        if not path.is_relative_to(top / "root")
    }


@pytest.mark.parametrize("liar", sorted(set(lying_rsync.LIES) - HARMLESS), indirect=True)
def test_an_rsync_that_lies_by_the_protocol_gets_nothing_false_promoted(
    liar: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argv, "STALL_S", 5)
    monkeypatch.setattr(process, "LISTING_MAX", 2_000_000)
    try:
        assert liar.lacking()
    except MoolaError:
        assert not liar.final.exists()
    top = liar.results.parent
    staging = liar.staging.relative_to(top).as_posix()
    assert all(f"{name}/".startswith((f"{staging}/", "results/")) for name in _around(top))
    assert not Path("/tmp/moola-planted").exists()
    came = content_of(liar.final) if liar.final.exists() else {}
    assert all(FILES[name] == content for name, content in came.items())
    staged = [path for path in liar.results.rglob("*") if not path.is_dir()]
    assert not any(path.is_symlink() for path in staged)
    assert all(path.is_file() for path in staged)
    assert sum(path.stat().st_size for path in staged) < 4 * max(map(len, FILES.values()))
    assert len(staged) <= 2 * len(FILES) + 2


@pytest.mark.parametrize("liar", sorted(HARMLESS), indirect=True)
def test_the_same_rsync_without_a_lie_is_fetched_without_modes(liar: Pod) -> None:
    liar.fetch()
    assert content_of(liar.final) == FILES
    assert all(path.stat().st_mode & 0o7777 == 0o600 for path in liar.final.rglob("log"))


@pytest.mark.parametrize("liar", ["wrong digest", "a folder"], indirect=True)
def test_after_a_lie_an_honest_rsync_is_fetched(
    liar: Pod, lying_server: tuple[Endpoint, Path]
) -> None:
    assert liar.lacking()
    lying_server[1].unlink()
    liar.fetch()
    assert content_of(liar.final) == FILES


def test_a_manifest_of_a_hundred_thousand_files_is_refused_before_any_comes(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    pod = Pod(tmp_path, transport, endpoint.python)
    entry = {"size": 1, "sha256": "0" * 64}
    many = [{"path": f"many/{number}", **entry} for number in range(Caps().max_files + 1)]
    pod.declare({"schema": 1, "run_id": RUN, "files": many})
    assert f"expected at most {Caps().max_files}" in pod.refusal(LimitError)
    assert not pod.staging.exists()


# ---- an agent that lies: another program under the name of the pod's Python


@pytest.fixture
def liars(transport: Transport, tmp_path: Path) -> Callable[[str], Agent]:
    """Makes an agent that answers with what a shell script prints."""

    def make(script: str) -> Agent:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Agent(transport, root=str(tmp_path / "root"), python=str(program))

    return make


def _say(answer: Any) -> str:
    return f"cat <<'END'\n{json.dumps(answer)}\nEND"


def _state(**changes: Any) -> dict[str, Any]:
    return {"run_id": RUN, "state": "SUCCEEDED", **changes}


@pytest.mark.parametrize(
    "script",
    [
        "printf '[%.0s' $(seq 100000)",
        "printf '{\"ok\": true, \"state\": '; printf '[%.0s' $(seq 100000)",
        "exec yes",
        "head -c 3000000 /dev/urandom >&2; exit 3",
        "kill -9 $$",
        _say({"ok": False, "message": {"deep": [1]}, "error": ["unknown_run"]}),
        _say({"ok": True}),
        _say({"ok": True, "state": _state(run_id="20260101-000000-other-abcd")}),
        _say({"ok": True, "state": _state(run_id="../../../../tmp/moola-planted")}),
        _say({"ok": True, "state": _state(returncode=10**30)}),
        _say({"ok": True, "state": _state(state="\x1b[2J")}),
        _say({"ok": True, "state": _state(last_lines=[{}])}),
    ],
)
def test_an_agents_answer_that_is_none_is_one_line(
    liars: Callable[[str], Agent], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "MAX_OUTPUT", 1_000_000)
    with pytest.raises((TransferError, UnreachableError)) as caught:
        get_state(liars(script), RUN)
    assert is_one_line(str(caught.value))
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "", "A", "x" * 65, "\x1b[2J", "x\n", None])
def test_a_run_whose_id_is_a_path_is_never_listed(
    liars: Callable[[str], Agent], name: str | None
) -> None:
    agent = liars(_say({"ok": True, "runs": [_state(run_id=name)]}))
    with pytest.raises(TransferError, match="run_id"):
        list_runs(agent)


@pytest.mark.parametrize(
    "lie",
    [
        {"python": None},
        {"python": ["3"]},
        {"gpus": 3},
        {"gpus": [{"memory_total": "much"}]},
        {"gpus": [{}] * 1000},
        {"cpus": -1},
        {"disk_free": 2**80},
        {"rsync": {}},
        {"trees": []},
    ],
)
def test_a_pod_that_describes_itself_wrongly_is_one_line(
    liars: Callable[[str], Agent], lie: dict[str, Any]
) -> None:
    reported = {"ok": True, "python": "3.11.7", "rsync": "3.2.7", "gpus": [], "cpus": 2, **lie}
    with pytest.raises(TransferError, match="agent: probe: ") as caught:
        probe(liars(_say(reported)))
    assert is_one_line(str(caught.value))


def test_what_a_pod_says_of_itself_is_shown_safely(
    liars: Callable[[str], Agent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moola_remote.cli.app import App
    from moola_remote.cli.deploy import component_rows
    from moola_remote.ui.tables import component_table

    owned = "\x1b]0;owned\x07[bold]\u202e" + "x" * 10_000
    facts = probe(
        liars(_say({"ok": True, "python": owned, "rsync": "3.2.7", "gpus": [{"name": owned}]}))
    )
    answer = {"python": owned, "torch": {"version": owned}, "packages": {owned: owned}}
    environment = read_answer_as(Environment, answer, "environment")
    project = make_project(tmp_path / "project", tmp_path / "state")
    monkeypatch.chdir(project.folder)
    app = App(pod_name="host")
    tree = Tree("0" * 16, (), (), ())
    deployed = Deployed(
        Plan(tree, None, Dependencies()), facts, environment, {"code": 0, "data": 0}
    )
    shown = component_table(component_rows(app, deployed)).plain()
    assert is_one_line(shown.replace("\n", ""))
    assert len(shown) < 20_000
    assert "rsync 3.2.7: known vulnerabilities before 3.4.0" in shown


def test_an_environment_without_torch_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moola_remote.cli.app import App
    from moola_remote.cli.deploy import component_rows
    from moola_remote.protocol.answers import PodInfo

    monkeypatch.chdir(make_project(tmp_path / "project", tmp_path / "state").folder)
    plan = Plan(Tree("0" * 16, (), (), ()), None, Dependencies())
    facts = read_answer_as(PodInfo, {"python": "3.11"}, "probe")
    for torch, row in (
        (None, ("none", "none: torch is not installed")),
        ({"version": "2.6.0"}, ("ok", "2.6.0, CUDA none")),
    ):
        answer = {"python": "3.11", "torch": torch}
        environment = read_answer_as(Environment, answer, "environment")
        deployed = Deployed(plan, facts, environment, {"code": 0, "data": 0})
        rows = component_rows(App(pod_name="host"), deployed)
        assert [(one.mark, one.details) for one in rows if one.name == "torch, CUDA"] == [row]


# ---- a stream that lies


def _follow(agent: Agent, folder: Path) -> None:
    with Journal(folder / "journal") as journal:
        link = Link(agent, lambda: agent, backoff_s=(0.0,), give_up_s=0.0)
        follower.follow(link, RUN, journal, Listener())


@pytest.mark.parametrize(
    "script",
    [
        f"printf 'D log {2**61} 5\\nhello'; sleep 9",
        "printf 'D log 0 99999999999\\n'; exec yes",
        "printf 'P 999999999\\n'; exec yes",
        "printf 'P 100000\\n'; exec yes '['",
        "printf 'S log x 5\\nR log x\\n'; printf 'D events 0 9\\n{\"kind\":1'; exit 0",
        "exec cat /dev/urandom",
        "exec yes H",
    ],
)
def test_a_stream_that_lies_ends_in_one_line_and_fills_no_disk(
    liars: Callable[[str], Agent], tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_JOURNAL_BYTES", 1_000_000)
    agent = liars(f"{script} | head -c 3000000")
    with pytest.raises(MoolaError) as caught:
        _follow(agent, tmp_path)
    assert is_one_line(str(caught.value))
    journal = [path for path in (tmp_path / "journal").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in journal) <= 1_100_000


# ---- the same through the command


@pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here")
@pytest.mark.parametrize("command", ["attach", "logs", "fetch all", "cancel"])
def test_a_command_is_not_led_out_of_its_folders_by_a_runs_id(
    command: str, openssh_server: Endpoint, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    evil = _state(run_id=f"../../../../../../..{outside}", log_size=5, state="RUNNING")
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{_say({'ok': True, 'runs': [evil], 'state': evil})}\n")
    program.chmod(0o755)
    project: Project = make_project(tmp_path / "project", tmp_path / "state", openssh_server)
    pods = project.folder / "configs" / "pods" / "host.yaml"
    pods.write_text(pods.read_text().replace(f"python: {sys.executable}", f"python: {program}"))
    line = project.refused(15, "--pod", "host", *command.split())
    assert "run_id" in line
    assert not outside.exists()
