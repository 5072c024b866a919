"""What `clean` removes from a pod, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pods import AgentPod

pytestmark = pytest.mark.process


@pytest.fixture
def trees(pod: AgentPod) -> list[str]:
    """Three of each kind, the oldest first; the second shares a file with the first."""
    digests = [letter * 16 for letter in "abc"]
    for kind in ("code", "data", "env"):
        for age, digest in enumerate(digests):
            folder = pod.root / kind / digest
            (folder / "bin").mkdir(parents=True)
            (folder / "own").write_text("x" * 100)
            record = pod.root / kind / f"{digest}.json"
            record.write_text("{}")
            os.utime(record, (1000 + age, 1000 + age))
        (pod.root / kind / digests[0] / "shared").write_text("y" * 1000)
        os.link(pod.root / kind / digests[0] / "shared", pod.root / kind / digests[1] / "shared")
    return digests


def run_on(pod: AgentPod, digest: str | None) -> str:
    """A run that has ended, and names this tree in its spec."""
    run_id = pod.shell("exit 0", gpu=-1)
    pod.wait(run_id)
    pod.edit(run_id, "spec.json", code=digest, data=digest, environment=digest)
    return run_id


def there(pod: AgentPod, kind: str) -> set[str]:
    return {path.stem[0] for path in (pod.root / kind).glob("[!.]*")}


def clean(pod: AgentPod, *run_ids: str, **asked: Any) -> dict[str, int]:
    answer = pod.ask("clean", stdin={"runs": run_ids, **asked})
    assert answer["ok"], answer
    return {f"{one['kind']}/{one['name']}": one["bytes"] for one in answer["removed"]}


def test_what_no_run_needs_goes_and_the_newest_stays(pod: AgentPod, trees: list[str]) -> None:
    run_on(pod, trees[0])
    removed = clean(pod)
    assert set(removed) == {f"{kind}/{trees[1]}" for kind in ("code", "data", "env")}
    assert set(removed.values()) == {100}  # what is shared is not given back
    for kind in ("code", "data", "env"):
        assert there(pod, kind) == {"a", "c"}
    assert clean(pod) == {}


def test_a_run_goes_with_what_it_alone_needed(pod: AgentPod, trees: list[str]) -> None:
    gone, stays = run_on(pod, trees[0]), run_on(pod, trees[1])
    reported = clean(pod, gone, dry_run=True)
    assert pod.folder(gone).exists()
    assert reported == clean(pod, gone)
    assert f"runs/{gone}" in reported
    assert not pod.folder(gone).exists()
    assert pod.folder(stays).exists()
    assert there(pod, "data") == {"b", "c"}
    assert [path.name for path in pod.root.rglob(".removed-*")] == []


def test_what_another_client_is_about_to_start_stays(pod: AgentPod, trees: list[str]) -> None:
    ended = run_on(pod, trees[0])
    asked = pod.ask("probe", stdin={"reserve": {"code": trees[0], "data": "e" * 16}})
    assert asked["trees"] == {"code": trees, "data": trees}  # neither moved nor invented
    assert f"data/{trees[0]}" in clean(pod, ended)
    assert there(pod, "code") == {"a", "c"}
    started = run_on(pod, trees[0])
    assert clean(pod) == {}
    assert f"code/{trees[0]}" in clean(pod, started)  # its run has been: nobody waits for it
    assert not list((pod.root / "code").glob(".reserved-*"))


def test_a_run_that_goes_on_is_not_removed_nor_what_it_stands_on(
    pod: AgentPod, trees: list[str]
) -> None:
    run_id = pod.shell("sleep 600", gpu=-1)
    pod.edit(run_id, "spec.json", code=trees[0])
    answer = pod.ask("clean", stdin={"runs": [run_id]})
    assert answer["error"] == "not_ended"
    assert there(pod, "code") == {"a", "b", "c"}
    clean(pod)
    assert there(pod, "code") == {"a", "c"}


def test_what_a_killed_clean_has_left_goes_with_the_next(pod: AgentPod) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = pod.root / "data" / f".removed-{'a' * 16}-{gone.pid}"
    left.mkdir(parents=True)
    clean(pod)
    assert not left.exists()


def test_a_transfer_that_was_cut_goes_after_a_day(pod: AgentPod) -> None:
    for name in ("old", "new"):
        (pod.root / "data" / f".incoming-{name}").mkdir(parents=True)
    os.utime(pod.root / "data" / ".incoming-old", (1000, 1000))
    assert list(clean(pod)) == ["data/.incoming-old"]
    assert [path.name for path in (pod.root / "data").glob(".incoming-*")] == [".incoming-new"]


def test_an_unknown_run_is_refused_before_anything_goes(pod: AgentPod, trees: list[str]) -> None:
    ended = run_on(pod, None)
    answer = pod.ask("clean", stdin={"runs": [ended, "test-none"]})
    assert answer["error"] == "unknown_run"
    assert pod.folder(ended).exists()
    assert json.loads(Path(pod.folder(ended) / "state.json").read_bytes())["state"] == "SUCCEEDED"


def test_of_a_link_in_a_runs_place_the_link_alone_is_removed(pod: AgentPod, tmp_path: Path) -> None:
    run_id = run_on(pod, None)
    elsewhere = tmp_path / "elsewhere"
    pod.folder(run_id).rename(elsewhere)
    pod.folder(run_id).symlink_to(elsewhere)
    assert clean(pod, run_id) == {f"runs/{run_id}": 0}
    assert not [path for path in (pod.root / "runs").iterdir() if path.name != ".tickets"]
    assert (elsewhere / "state.json").exists()


def test_a_run_whose_state_can_not_be_read_is_removed_once_nothing_of_it_lives(
    pod: AgentPod,
) -> None:
    run_id = pod.shell("exec sleep 600", gpu=-1)
    pod.wait(run_id, "RUNNING")
    state = (pod.folder(run_id) / "state.json").read_bytes()
    (pod.folder(run_id) / "state.json").write_text("{")
    assert pod.ask("clean", stdin={"runs": [run_id]})["error"] == "not_ended"
    (pod.folder(run_id) / "state.json").write_bytes(state)
    pod.kill(run_id, "supervisor", "keeper", "job")
    (pod.folder(run_id) / "state.json").write_text("{")
    assert f"runs/{run_id}" in clean(pod, run_id)


def test_the_bytecode_of_a_run_goes_with_it(pod: AgentPod) -> None:
    script = (
        "echo 'x = 1' >mine.py; env -u PYTHONDONTWRITEBYTECODE python -c 'import mine, argparse'"
    )
    gone, stays = (pod.shell(script.replace("python", sys.executable), gpu=-1) for _ in range(2))
    for run_id in (gone, stays):
        assert pod.wait(run_id)["state"] == "SUCCEEDED"
    cache = pod.root / "cache" / "pycache"
    (cache / str(pod.root / "env").lstrip("/") / "removed").mkdir(parents=True)

    def kept() -> set[str]:
        return {path.parent.name for path in cache.rglob("mine.*.pyc")}

    shared = set(cache.rglob("argparse.*.pyc"))
    assert shared
    assert kept() == {gone, stays}
    clean(pod, gone, dry_run=True)
    assert kept() == {gone, stays}
    clean(pod, gone)
    assert kept() == {stays}
    assert set(cache.rglob("argparse.*.pyc")) == shared
    assert not list(cache.rglob("removed"))
