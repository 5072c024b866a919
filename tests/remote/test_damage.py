"""Damage here or on the pod costs the one thing that is damaged, and is repaired from the rest."""

from __future__ import annotations

import errno
import itertools
import json
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest

from moola_remote.agent.layout import stored_state
from moola_remote.agent.start import new_state
from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import list_runs
from moola_remote.cli import error_handler
from moola_remote.cli.main import program
from moola_remote.deploy.code_store import Archive
from moola_remote.deploy.snapshot import Tree, code_tree
from moola_remote.errors import ConfigError, TransferError
from moola_remote.files.disk import full_disk
from moola_remote.pods.pod import Pod
from moola_remote.protocol.state import RunState, read_state
from moola_remote.providers.runpod.account import overdue
from moola_remote.providers.runpod.metering import deadline_of
from moola_remote.providers.runpod.models import Pod as RentedPod
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.runs.launch import RunRequest, merged_limits
from tests.support.pods import AgentPod

# ---- state.json on the pod ----

WRONG = [
    "x",
    "\ud800",
    True,
    -5,
    7,
    1.5,
    2**70,
    1e999,
    [],
    [None],
    ["\ud800"],
    {},
    {"pid": 5},
    None,
]
KEYS = [
    *(set(RunState.__struct_fields__) - {"now", "queue_position"}),
    "supervisor",
    "job",
    "samples",
]


@pytest.mark.parametrize("key", sorted({*KEYS, "wants", "ticket", "killed"}))
def test_what_the_agent_takes_for_a_state_the_laptop_can_read(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "r-1"
    folder.mkdir()
    taken = 0
    for value in WRONG:
        state = {**new_state("r-1", 3, {"argv": [], "price_per_hour": 0.5}), key: value}
        (folder / "state.json").write_text(json.dumps(state))
        stored = stored_state(folder)
        if stored is not None:
            taken += 1
            assert read_state(json.loads(json.dumps(stored))).run_id == "r-1"
    assert taken < len(WRONG)


def test_a_good_state_is_taken_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "r-1"
    folder.mkdir()
    who = {"pid": 5, "start_ticks": 0, "boot": "b"}
    changes = {"supervisor": who, "job": who, "wants": [0, 1], "gpu": 1, "idle_share": 1}
    state = {
        **new_state("r-1", 3, {"argv": []}),
        **changes,
        "returncode": -9,
        "last_lines": ["a\u00e9"],
    }
    (folder / "state.json").write_text(json.dumps(state))
    assert stored_state(folder) == state


@pytest.mark.process
@pytest.mark.parametrize(
    "change",
    [{"returncode": "x"}, {"reason": {}}, {"oom_killed": None}, {"job": {"pid": 5, "boot": "b"}}],
)
def test_a_wrong_key_costs_that_one_run(pod: AgentPod, change: dict[str, Any]) -> None:
    good, bad = pod.shell("true", gpu=-1), pod.shell("true", gpu=-1)
    for run_id in (good, bad):
        pod.wait(run_id)
    pod.edit(bad, "state.json", **change)
    states = {run["run_id"]: run["state"] for run in pod.ask("list")["runs"]}
    assert states == {good: "SUCCEEDED", bad: "LOST"}


def test_a_state_that_only_the_laptop_can_not_read_hides_no_other() -> None:
    good = new_state("r-1", 1, {"argv": []})
    answer = {"runs": [good, {**good, "run_id": "r-2", "log_size": -1}]}
    agent = cast(Agent, SimpleNamespace(call=lambda *_: answer))
    first, second = list_runs(agent)
    assert (first.run_id, first.state) == ("r-1", "QUEUED")
    assert (second.run_id, second.state) == ("r-2", "LOST")
    assert "log_size" in (second.reason or "")
    answer["runs"].append({"run_id": "../x"})
    with pytest.raises(TransferError):
        list_runs(agent)


# ---- the archive ----


def _empty_list(archive: Archive, tree: Tree) -> None:
    (archive.folder / f"{tree.digest}.json").write_bytes(b"")


def _empty_file(archive: Archive, tree: Tree) -> None:
    (archive.folder / "files" / tree.files[0].sha256).write_bytes(b"")


def _nul_file(archive: Archive, tree: Tree) -> None:
    path = archive.folder / "files" / tree.files[0].sha256
    path.write_bytes(bytes(tree.files[0].size))


def _lost_file(archive: Archive, tree: Tree) -> None:
    (archive.folder / "files" / tree.files[0].sha256).unlink()


def _other_list(archive: Archive, tree: Tree) -> None:
    (archive.folder / f"{tree.digest}.json").write_text('{"files": []}')


@pytest.mark.parametrize("spoil", [_empty_list, _empty_file, _nul_file, _lost_file, _other_list])
def test_a_damaged_snapshot_is_kept_anew_by_the_next_run_of_it(tmp_path: Path, spoil: Any) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("one")
    (project / "b.py").write_text("two")
    archive, tree = Archive(tmp_path / "snapshots"), code_tree(project)
    archive.keep(tree)
    spoil(archive, tree)
    archive.keep(tree)
    assert archive.restore(tree.digest, tmp_path / "again").files == tree.files
    assert (tmp_path / "again" / "a.py").read_text() == "one"


# ---- the journal ----


# ---- notes ----


# ---- host keys ----


# ---- a full disk of the laptop ----


def test_a_full_disk_is_named_by_its_mount_point(tmp_path: Path) -> None:
    err = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "none" / "file"))
    mount = tmp_path
    while not mount.is_mount():
        mount = mount.parent
    assert str(full_disk(err, [])).startswith(f"the disk of {mount}: no space left; make room")
    quota = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert "a disk of this machine: its quota is used up" in str(full_disk(quota, [tmp_path]))


def test_a_command_on_a_full_disk_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command("fill")
    def fill() -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")

    program.add_command(fill)
    try:
        assert error_handler.run(["fill"]) == 14
    finally:
        del program.commands["fill"]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no space left" in said
    assert "a bug" not in said


# ---- clean, and another client between its deploy and its start ----


def _tree(pod: AgentPod, digest: str, age_s: float) -> Path:
    folder = pod.root / "code" / digest
    folder.mkdir(parents=True)
    record = folder.with_name(f"{digest}.json")
    record.write_text("{}")
    os.utime(record, (time.time() - age_s, time.time() - age_s))
    return folder


@pytest.mark.process
def test_clean_leaves_what_another_client_has_just_deployed(pod: AgentPod) -> None:
    old, young, newest = (
        _tree(pod, letter * 16, age_s)
        for letter, age_s in zip("abc", (90_000, 7200, 0), strict=True)
    )
    pod.ask("clean", stdin={"runs": []})
    assert [path.exists() for path in (old, young, newest)] == [False, True, True]
    # What a run has named has had its start: it goes with the run.
    run_id = pod.shell("true", gpu=-1)
    pod.wait(run_id)
    pod.edit(run_id, "spec.json", code=young.name)
    pod.ask("clean", stdin={"runs": [run_id]})
    assert not young.exists()


# ---- money ----


@pytest.mark.parametrize("asked", [None, 0.5])
@pytest.mark.parametrize("earlier", [None, {"max_cost_usd": 0.3, "max_time_s": 9}])
def test_a_run_goes_on_under_its_limits_or_not_at_all(asked: Any, earlier: Any) -> None:
    request = RunRequest("x", max_cost_usd=asked)
    priced = cast(Pod, SimpleNamespace(name="p", endpoint=SimpleNamespace(price_per_hour=1.0)))
    limits = merged_limits(priced, request, earlier)
    assert limits.get("max_cost_usd") == (asked or (earlier or {}).get("max_cost_usd"))
    free = cast(Pod, SimpleNamespace(name="p", endpoint=SimpleNamespace(price_per_hour=None)))
    if asked or earlier:
        with pytest.raises(ConfigError, match="the price of pod p is not known"):
            merged_limits(free, request, earlier)
    else:
        assert merged_limits(free, request, earlier) == {}


def test_a_pod_of_unknown_birth_has_the_deadline_of_its_name() -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    for created, started, hours in itertools.product((None, now), (None, now), (-1, 24)):
        name = str(PodName.new("me", "gpu", now + timedelta(hours=hours)))
        pod = _rented(name, created, started)
        assert deadline_of(pod) == now + timedelta(hours=hours)
        assert overdue([pod], now) == ([pod] if hours < 0 else [])
    assert deadline_of(_rented("somebody else's", None, None)) is None


def _rented(name: str, created: datetime | None, started: datetime | None) -> RentedPod:
    return RentedPod(id="a", name=name, status="RUNNING", created_at=created, started_at=started)
