"""What a laptop notes of runs: the command for the end, once; journals that don't fill the disk."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moola_remote.errors import LimitError
from moola_remote.protocol.state import RunState
from moola_remote.runs.hooks import run_hook
from moola_remote.runs.local_state import Hook, LastSeen, LocalRun, thin_out
from moola_remote.ui.prompts import say


def state(name: Any, run_id: str = "run") -> RunState:
    return RunState(run_id=run_id, state=name)


@pytest.mark.process
def test_a_command_for_the_end_runs_once_with_what_it_needs_to_know(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = LocalRun(tmp_path / "run")
    notes.keep_hook(Hook('pwd; echo "$MOOLA_RUN_ID $MOOLA_STATE"; exit 3', str(tmp_path)))
    run_hook(notes, state("RUNNING"), say)
    assert capfd.readouterr() == ("", "")
    run_hook(notes, state("FAILED"), say)
    out, err = capfd.readouterr()
    assert out == ""
    said = err.splitlines()
    assert said[1:] == [
        *(str(tmp_path), "run FAILED"),
        "on_finish: exit code 3, the run is FAILED all the same",
    ]
    run_hook(notes, state("FAILED"), say)
    assert capfd.readouterr().err == ""


def test_of_many_at_once_one_takes_the_command(tmp_path: Path) -> None:
    notes = LocalRun(tmp_path)
    notes.keep_hook(Hook("true", str(tmp_path)))
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: notes.take_hook(), range(50)))
    assert [hook for hook in taken if hook] == [Hook("true", str(tmp_path))]


@pytest.mark.process
def test_a_command_whose_folder_is_gone_runs_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = LocalRun(tmp_path / "run")
    notes.keep_hook(Hook("echo ran", str(tmp_path / "gone")))
    run_hook(notes, state("LOST"), say)
    assert capfd.readouterr().err.endswith("ran\n")


def test_torn_notes_are_none(tmp_path: Path) -> None:
    for name in ("seen.json", "on_finish.json"):
        (tmp_path / name).write_text('{"at": ')
    assert LocalRun(tmp_path).seen is None
    assert LocalRun(tmp_path).take_hook() is None


def test_notes_that_can_not_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(LimitError, match=r"seen\.json: can't be written"):
        LocalRun(tmp_path / "run").see(LastSeen(0.0, "RUNNING"))


def test_the_oldest_journals_of_ended_runs_go_first_and_no_other_does(tmp_path: Path) -> None:
    states = {"1-old": "SUCCEEDED", "2-live": "RUNNING", "3-mid": "LOST", "4-wanted": "FAILED"}
    for run_id, name in {**states, "5-new": "CANCELLED"}.items():
        notes = LocalRun(tmp_path / "pod" / run_id)
        notes.see(LastSeen(0.0, name))
        notes.keep_spec({"run_id": run_id})
        for file, size in (("log", 900), ("events.jsonl", 90), ("offsets", 10)):
            (notes.folder / file).write_bytes(bytes(size))
    wanted = tmp_path / "pod" / "4-wanted"
    assert thin_out(tmp_path, 5000, wanted) == []
    assert [one.folder.name for one in thin_out(tmp_path, 4999, wanted)] == ["1-old"]
    assert [one.folder.name for one in thin_out(tmp_path, 2500, wanted)] == ["3-mid", "5-new"]
    assert thin_out(tmp_path, 0, wanted) == []
    left = {path.parent.name for path in tmp_path.glob("pod/*/log")}
    assert left == {"2-live", "4-wanted"}
    assert len(list(tmp_path.glob("pod/*/spec.json"))) == 5
    assert (tmp_path / "pod" / "1-old").stat().st_mode & 0o777 == 0o700
