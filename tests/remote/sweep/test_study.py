"""The study is Optuna's; what is written ahead survives a process that is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from moola_remote.errors import ConfigError
from moola_remote.sweep.plan import Plan, SweepFolder, read_goal
from moola_remote.sweep.study import Study, best_of
from moola_remote.sweep.trial import Attempt, Score


def plan_of(**more: Any) -> Plan:
    """A plan of two spaces, or of `more`."""
    keys = {
        "sweep_id": "s-1",
        "label": "s",
        "goal": read_goal("f1"),
        "pods": ["local"],
        "spaces": ["lr=log:1e-4..1e-1", "size=16,32"],
        "trials": 4,
        "command": ["true"],
        **more,
    }
    return Plan(**keys)


def open_study(journal: Path, plan: Plan) -> Study:
    return Study(journal, plan, is_writing=True)


def test_a_command_that_is_no_utf8_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "sweep")
    with pytest.raises(ConfigError, match=r"'a\\udcffb' is no UTF-8, expected .* rename"):
        folder.write_plan(plan_of(command=["python", "a\udcffb"]))
    assert not folder.path.exists()
    folder.write_plan(plan_of(command=["python", "ä b"]))
    assert folder.read_plan().command == ["python", "ä b"]


def test_optuna_opens_the_journal(tmp_path: Path) -> None:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    journal = tmp_path / "study.journal"
    study = open_study(journal, plan_of())
    asked = study.ask()
    study.note_attempt(0, Attempt("run-a", "local"))
    study.tell(0, "complete", Score(0.7, 0.6, 0.8))
    found = optuna.load_study(
        study_name="s-1", storage=JournalStorage(JournalFileBackend(str(journal)))
    )
    assert found.best_value == 0.7
    assert found.best_params == dict(asked.params)
    assert found.best_trial.user_attrs["runs"] == [["run-a", "local"]]
    assert found.direction is optuna.study.StudyDirection.MAXIMIZE


def test_a_trial_is_recorded_once(tmp_path: Path) -> None:
    study = open_study(tmp_path / "j", plan_of())
    study.ask()
    assert study.tell(0, "complete", Score(0.7))
    assert not study.tell(0, "failed", why="late")
    assert study.trial(0).state == "complete"
    assert study.trial(0).score == Score(0.7)


def test_a_torn_journal_is_read_up_to_its_last_whole_line(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    study = open_study(journal, plan_of())
    study.ask()
    study.note_attempt(0, Attempt("run-a", "local"))
    whole = journal.read_bytes()
    size_before = len(whole)
    study.ask()
    # Cut off at every byte of the second ask: it is there in whole, in part or not at all.
    content = journal.read_bytes()
    seen = set()
    for cut in [*range(size_before, len(content), 37), len(content)]:
        journal.write_bytes(content[:cut])
        again = open_study(journal, plan_of())
        trials = again.trials()
        assert trials[0].attempt == Attempt("run-a", "local")
        seen.add(len(trials))
        for trial in trials[1:]:
            assert set(again.complete_params(trial.number).params) == {"lr", "size"}
        assert again.ask().number == len(trials)
    assert seen == {1, 2}


def test_a_sweep_that_goes_on_draws_what_it_has_not_drawn(tmp_path: Path) -> None:
    drawn = [open_study(tmp_path / "j", plan_of()).ask().params["lr"] for _ in range(4)]
    assert len(set(drawn)) == 4
    assert open_study(tmp_path / "other", plan_of()).ask().params["lr"] == drawn[0]


def test_a_static_plan_is_written_once_whatever_is_cut_off(tmp_path: Path) -> None:
    plan = plan_of(spaces=[], grid=["size=16,32,96"], seeds=[0, 1], trials=6)
    journal = tmp_path / "j"
    open_study(journal, plan)
    lines = journal.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines) + 1):
        journal.write_bytes(b"".join(lines[:kept]))
        study = open_study(journal, plan)
        rows = [study.ask().params for _ in range(6)]
        assert [(row["size"], row["seed"]) for row in rows] == [
            *((16, 0), (16, 1), (32, 0), (32, 1), (96, 0), (96, 1))
        ]


def test_a_value_is_reported_once_a_step(tmp_path: Path) -> None:
    study = open_study(tmp_path / "j", plan_of(early="median"))
    study.ask()
    study.report(0, 1, 0.5)
    study.report(0, 1, 0.9)  # the stream, replayed after a crash
    assert study.trial(0).steps == {1: 0.5}


def test_the_best_is_by_the_goal(tmp_path: Path) -> None:
    plan = plan_of()
    study = open_study(tmp_path / "j", plan)
    for value in (0.5, 0.7, 0.7, 0.1):
        study.tell(study.ask().number, "complete", Score(value))
    assert best_of(study.trials(), plan).number == 1  # type: ignore[union-attr]
    less = structs.replace(plan, goal=read_goal("loss"))
    assert best_of(study.trials(), less).number == 3  # type: ignore[union-attr]
    assert best_of([], plan) is None


def test_a_journal_of_another_sweep_is_refused(tmp_path: Path) -> None:
    open_study(tmp_path / "j", plan_of())
    other = structs.replace(plan_of(), sweep_id="s-2")
    with pytest.raises(ConfigError, match="not the study of this sweep"):
        Study(tmp_path / "j", other, is_writing=False)
