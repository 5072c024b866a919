"""What a start looks at: the runs that had not ended by the last ticket, not those that have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from moola_remote.agent.layout import Pod
from moola_remote.agent.start import new_state
from moola_remote.agent.state import list_runs
from moola_remote.agent.unfinished import (
    MOST_NOTED,
    forget,
    index_path,
    next_ticket,
    read_index,
    survey,
    tidy,
    unfinished,
)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    """A pod without a run."""
    pod = Pod(tmp_path)
    pod.make()
    return pod


def start(pod: Pod, run_id: str, state: str = "QUEUED") -> int:
    """Make a run's folder as `start` does; its ticket."""
    ticket = next_ticket(pod, run_id)
    made = {**new_state(run_id, ticket, {"argv": ["true"]}), "state": state}
    (pod.runs / run_id).mkdir()
    (pod.runs / run_id / "state.json").write_text(json.dumps(made))
    return ticket


def end(pod: Pod, run_id: str) -> None:
    path = pod.runs / run_id / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "state": "FAILED"}))


def names(pod: Pod) -> list[str]:
    return sorted(run.id for run, _ in unfinished(pod))


def noted(pod: Pod) -> list[str]:
    found: list[str] = json.loads((pod.runs / ".tickets").read_bytes())["unfinished"]
    return found


def test_a_ticket_notes_what_has_not_ended(pod: Pod) -> None:
    assert [start(pod, name) for name in ("a", "b", "c")] == [1, 2, 3]
    end(pod, "b")
    assert names(pod) == ["a", "c"]
    assert start(pod, "d") == 4
    assert noted(pod) == ["a", "c", "d"]
    assert survey(pod).ended == {"b": 2}
    assert (pod.runs / ".ended").read_text().split()[0] == "b"


def test_an_ended_run_is_not_opened_again(pod: Pod) -> None:
    start(pod, "a", "SUCCEEDED")
    start(pod, "b")
    # That nobody looks at it shows by this: its folder says something else now.
    start(pod, "c")
    path = pod.runs / "a" / "state.json"
    path.write_text(path.read_text().replace("SUCCEEDED", "QUEUED"))
    assert names(pod) == ["b", "c"]


def test_a_start_of_an_older_agent_is_noticed(pod: Pod) -> None:
    """It writes the ticket alone, and makes a folder that no note has."""
    start(pod, "a")
    start(pod, "older")
    (pod.runs / ".tickets").write_text('{"last":2}')
    assert names(pod) == ["a", "older"]
    assert start(pod, "b") == 3
    assert noted(pod) == ["a", "older", "b"]


@pytest.mark.parametrize("note", ["no list", [1], ["../a"], ["A"], None])
def test_a_damaged_note_hides_no_run(pod: Pod, note: object) -> None:
    start(pod, "a")
    (pod.runs / ".tickets").write_text(json.dumps({"last": 1, "unfinished": note}))
    assert names(pod) == ["a"]
    assert start(pod, "b") == 2
    assert noted(pod) == ["a", "b"]


def test_a_state_that_cannot_be_read_for_a_while_stays_noted(pod: Pod) -> None:
    start(pod, "a")
    path = pod.runs / "a" / "state.json"
    kept = path.read_text()
    path.write_text("{")
    start(pod, "b")
    assert names(pod) == ["b"]
    path.write_text(kept)
    assert names(pod) == ["a", "b"]


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_start_that_was_cut_off_leaves_no_name(pod: Pod, is_noted: bool) -> None:
    start(pod, "a")
    next_ticket(pod, "cut")
    if not is_noted:
        (pod.runs / ".tickets").write_text('{"last":2}')
    assert names(pod) == ["a"]
    start(pod, "b")
    assert noted(pod) == ["a", "b"]


def test_a_name_that_is_free_again_is_noted_again(pod: Pod) -> None:
    start(pod, "a", "SUCCEEDED")
    start(pod, "b")
    shutil.rmtree(pod.runs / "a")
    start(pod, "a")
    assert names(pod) == ["a", "b"]


def test_a_name_that_is_given_again_is_taken_out_of_the_index(pod: Pod) -> None:
    """A file system may give a new folder the inode of the one that was removed."""
    for name in ("a", "a-b", "b"):
        start(pod, name, "SUCCEEDED")
    assert survey(pod).ended == {"a": 1, "a-b": 2, "b": 3}
    lines = index_path(pod).read_text().splitlines()
    forget(pod, "a")
    assert index_path(pod).read_text().splitlines() == [row for row in lines if row[:2] != "a "]
    forget(pod, "c")
    assert len(index_path(pod).read_text().splitlines()) == 2


def test_another_folder_of_an_ended_runs_name_is_read(pod: Pod) -> None:
    start(pod, "a", "SUCCEEDED")
    start(pod, "new")
    assert survey(pod).ended == {"a": 1}
    shutil.rmtree(pod.runs / "a")
    path = pod.runs / "new" / "state.json"
    path.write_text(path.read_text().replace("new", "a"))
    (pod.runs / "new").rename(pod.runs / "a")  # made before, so of another inode
    found = survey(pod)
    assert found.ended == {}
    assert [run.id for run, _ in found.unfinished] == ["a"]


@pytest.mark.parametrize(
    "damage", ["a 1", "a 77 1", "a x 1\n", "a 1\n", "a 1 x\n", "\n", "a 1 2 3\n"]
)
def test_a_damaged_line_of_the_index_costs_itself_alone(pod: Pod, damage: str) -> None:
    start(pod, "b", "SUCCEEDED")
    survey(pod)
    path = index_path(pod)
    path.write_text(path.read_text().rstrip("\n") + "\n" + damage)
    (pod.runs / "b" / "state.json").write_text("not looked at")
    assert survey(pod).ended == {"b": 1}
    assert read_index(pod).keys() == {"b"}


def test_a_list_of_the_newest_counts_the_older_ones(pod: Pod) -> None:
    for name in ("a", "b", "c", "x"):
        start(pod, name, "SUCCEEDED")
    for last, names_of, older in (
        (1, ["x"], 3), (3, ["b", "c", "x"], 1), (4, ["a", "b", "c", "x"], 0),
        (9, ["a", "b", "c", "x"], 0), (0, [], 4), (None, ["a", "b", "c", "x"], 0),
    ):  # fmt: skip
        found = list_runs(pod, with_facts=False, last=last, prefix="")
        assert [run["run_id"] for run in found["runs"]] == names_of
        assert found["older"] == older
    assert list_runs(pod, with_facts=False, last=1, prefix="b")["older"] == 0


def test_the_index_is_rid_of_what_is_gone(pod: Pod) -> None:
    for name in ("a", "b"):
        start(pod, name, "SUCCEEDED")
    survey(pod)
    shutil.rmtree(pod.runs / "a")
    tidy(pod)
    assert [row.split()[0] for row in index_path(pod).read_text().splitlines()] == ["b"]


def test_more_than_fits_are_looked_for(pod: Pod) -> None:
    (pod.runs / ".tickets").write_text(
        json.dumps({"last": 1, "unfinished": [f"run-{number}" for number in range(MOST_NOTED)]})
    )
    for number in range(MOST_NOTED):
        (pod.runs / f"run-{number}").mkdir()
    start(pod, "a")
    assert "unfinished" not in json.loads((pod.runs / ".tickets").read_bytes())
    assert names(pod) == ["a"]
