"""A job works in a copy of its own; whatever it adds or changes there is an output."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.remote.agent.test_trees import digest, listing
from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process


@pytest.fixture
def code(pod: AgentPod, tmp_path: Path) -> str:
    """A sealed tree on the pod; its digest."""
    tree = tmp_path / "tree"
    (tree / "package").mkdir(parents=True)
    (tree / "main.py").write_text("print(1)\n")
    (tree / "package" / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tree / "package" / "run.sh").chmod(0o755)
    (tree / "link").symlink_to("package")
    listed = listing(tree)
    name = digest(listed)
    pod.ask("probe")
    (pod.root / "code").mkdir(parents=True, exist_ok=True)
    tree.rename(pod.root / "code" / f".incoming-{name}")
    assert pod.ask("seal", "code", name, stdin=listed)["sealed"]
    return name


def _manifest(pod: AgentPod, run_id: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((pod.folder(run_id) / "manifest.json").read_bytes())
    return manifest


def _paths(pod: AgentPod, run_id: str, kind: str = "files") -> set[str]:
    return {entry["path"] for entry in _manifest(pod, run_id)[kind]}


def test_what_a_job_adds_or_changes_in_its_working_folder_is_an_output(
    pod: AgentPod, code: str
) -> None:
    script = (
        "cat main.py; package/run.sh; cat link/run.sh | head -1; mkdir outputs .hydra;"
        "echo w >outputs/model.bin; echo c >.hydra/config.yaml; echo more >>main.py;"
        "ln -s outputs/model.bin last; mkdir hollow"
    )
    run_id = pod.shell(script, code=code)
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    log = (pod.folder(run_id) / "log").read_text()
    assert log == "print(1)\nran\n#!/bin/sh\n"
    added = {"workdir/outputs/model.bin", "workdir/.hydra/config.yaml", "workdir/main.py"}
    assert {path for path in _paths(pod, run_id) if path.startswith("workdir/")} == added
    assert _manifest(pod, run_id)["links"] == [
        {"path": "workdir/last", "target": "outputs/model.bin"}
    ]
    assert _paths(pod, run_id, "folders") == {"workdir/hollow"}
    sealed = pod.root / "code" / code
    assert sorted(path.name for path in sealed.iterdir()) == ["link", "main.py", "package"]
    assert (sealed / "main.py").read_text() == "print(1)\n"


def test_runs_of_one_code_do_not_see_each_other(pod: AgentPod, code: str) -> None:
    first = pod.shell("echo 1 >made; echo x >>main.py", code=code)
    pod.wait(first)
    second = pod.shell("ls; cat main.py", code=code)
    pod.wait(second)
    assert (pod.folder(second) / "log").read_text() == "link\nmain.py\npackage\nprint(1)\n"


def test_a_change_that_restores_size_and_times_is_an_output(pod: AgentPod, code: str) -> None:
    script = "touch -r main.py stamp; printf 'print(2)\\n' >main.py; touch -r stamp main.py"
    run_id = pod.shell(script, code=code)
    pod.wait(run_id)
    assert "workdir/main.py" in _paths(pod, run_id)


def test_a_job_that_writes_into_the_sealed_code_is_reported_and_the_code_goes(
    pod: AgentPod, code: str
) -> None:
    sealed = pod.root / "code" / code
    run_id = pod.shell(f"echo spoiled >>'{sealed}/main.py'", code=code)
    pod.wait(run_id)
    events = (pod.folder(run_id) / "events.jsonl").read_text()
    assert f"the sealed code {code} was changed while this run lasted: main.py" in events
    assert code not in pod.ask("probe")["trees"]["code"]


def test_names_of_any_bytes_are_listed_exactly(pod: AgentPod, code: str) -> None:
    names = [b"a\nb", "a\u200cb".encode(), "a\ufe0f".encode(), b"latin-\xe9", b"-n", b"..x", b" "]
    folder = pod.root / "names"
    folder.mkdir(parents=True)
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(name)
    run_id = pod.shell(f"cp -r '{folder}' .", code=code)
    pod.wait(run_id)
    found = [entry for entry in _manifest(pod, run_id)["files"] if "names/" in entry["path"]]
    assert len(found) == len(names)
    assert [entry["path"] for entry in found if "raw" in entry] == ["workdir/names/latin-\\xe9"]


def test_a_tree_deeper_than_a_path_can_name_costs_no_other_file(pod: AgentPod, code: str) -> None:
    level = "y" * 100
    script = (
        f"echo kept >kept; for i in $(seq 60); do mkdir {level}; cd -P {level}; done; echo x >x"
    )
    run_id = pod.shell(script, code=code)
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    assert "workdir/kept" in _paths(pod, run_id)
    assert _paths(pod, run_id, "folders") == set()
    (deep,) = _manifest(pod, run_id)["unreadable"]
    assert deep["reason"] == "File name too long"
    assert deep["size"] > 0  # so that nothing removes it unasked
    assert pod.ask("manifest", run_id)["manifest_sha256"] == pod.stored(run_id)["manifest_sha256"]
    removed = pod.ask("clean", stdin={"runs": [run_id]})["removed"]
    assert run_id in [one["name"] for one in removed]
    assert not list((pod.root / "runs").glob(".removed-*"))


def test_a_folder_whose_entries_can_not_be_looked_at_is_opened(pod: AgentPod, code: str) -> None:
    """Mode 444 lists the names alone; only root reads on."""
    if os.getuid() == 0:
        pod.enter = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
    script = "mkdir shut closed; echo x >shut/x; echo y >closed/y; chmod 444 shut; chmod 0 closed"
    run_id = pod.shell(script, code=code)
    pod.wait(run_id)
    assert {"workdir/shut/x", "workdir/closed/y"} <= _paths(pod, run_id)


def test_a_run_whose_folders_are_closed_is_removed_whole(pod: AgentPod, code: str) -> None:
    if os.getuid() == 0:
        pod.enter = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
    run_id = pod.shell("mkdir -p a/b; echo x >a/b/x", code=code)
    pod.wait(run_id)
    shut = pod.folder(run_id) / "workdir" / "a"
    for folder in (shut / "b", shut):
        folder.chmod(0)
    pod.ask("clean", stdin={"runs": [run_id]})
    assert list((pod.root / "runs").glob(".removed-*")) == []


def test_what_on_finish_writes_is_in_the_manifest(pod: AgentPod, code: str) -> None:
    wait = "for i in $(seq 900); do [ -e go ] && break; sleep 0.02; done; rm go"
    script = f"{wait}; echo s >summary.txt; echo end >>log"
    run_id = pod.shell("echo hi", code=code, on_finish=script)
    pod.wait(run_id)
    # The command has written nothing yet: what is there is as the manifest says, and not the end.
    answer = pod.ask("manifests", stdin={"runs": [run_id]})["manifests"][run_id]
    assert "on_finish command is still running" in answer["error"]
    (pod.folder(run_id) / "go").touch()
    wait_until(lambda: pod.stored(run_id).get("on_finish") == 0)
    answer = pod.ask("manifests", stdin={"runs": [run_id]})["manifests"][run_id]
    assert answer["manifest_sha256"] == pod.stored(run_id)["manifest_sha256"]
    files = {entry["path"]: entry for entry in _manifest(pod, run_id)["files"]}
    assert "summary.txt" in files
    assert files["log"]["size"] == len("hi\nend\n")


def test_what_is_written_after_the_end_makes_a_new_manifest(pod: AgentPod, code: str) -> None:
    run_id = pod.shell("echo hi", code=code)
    before = pod.wait(run_id)["manifest_sha256"]
    assert pod.ask("manifest", run_id)["manifest_sha256"] == before
    (pod.folder(run_id) / "late").write_text("late")
    after = pod.ask("manifest", run_id)["manifest_sha256"]
    assert after != before
    assert after == pod.ask("state", run_id)["state"]["manifest_sha256"]
    assert "late" in _paths(pod, run_id)


def test_a_daemon_without_mark_and_session_ends_with_its_run(pod: AgentPod, code: str) -> None:
    script = "env -i setsid sh -c 'while :; do echo on; sleep 0.1; done' & sleep 0.3; echo done"
    run_id = pod.shell(script, code=code)
    state = pod.wait(run_id)
    assert state["killed"] >= 1
    log = pod.folder(run_id) / "log"
    size = log.stat().st_size
    assert pod.state(run_id)["log_size"] == size
    assert pod.ask("manifest", run_id)["manifest_sha256"] == state["manifest_sha256"]
