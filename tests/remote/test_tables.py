"""Tables of components, runs and scores: on 80 columns, on a wide terminal, in a pipe."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from moola_remote.events import Result
from moola_remote.runs import RunState
from moola_remote.tables import (
    Printable,
    Row,
    component_table,
    runs_table,
    scoreboard,
    show,
)

HOSTILE = "[red]x[/] \x1b[31m\u202e\nnext"
SHOWN = r"[red]x[/] \x1b[31m\u202e\nnext"
RUN = "20261122-153012-jade-3f2a"
OTHER = "20261122-154112-seed-77aa"


def drawn(table: Printable, width: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def state(**keys: Any) -> RunState:
    return RunState(**{"run_id": RUN, "state": "SUCCEEDED", "now": 1000.0, **keys})


def score(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def result(f1: float, *, has_test: bool = True, baseline: float = 0.2) -> Result:
    names = ["f1", "iou", "hit3", "average_precision", "in_span", "out_span", "precision", "recall"]
    split = {name: score(f1) for name in [*names, "center_mae"]}
    table = {"validation": split, "test": split if has_test else None}
    baselines = {"largest_bar": {"f1": score(baseline), "center_mae": {"value": None}}}
    return Result.model_validate({"scores": table, "baselines": baselines})


def test_components_have_a_mark_a_name_and_details() -> None:
    rows = [
        Row("ok", "GPU", "none: CPU"),
        Row("same", "data", "210 windows"),
        Row("bad", "torch", "-"),
    ]
    assert component_table(rows).plain().splitlines() == [
        "   component  details",
        "✓  GPU        none: CPU",
        "=  data       210 windows",
        "✗  torch      -",
    ]


def test_long_details_are_folded_on_a_terminal_and_whole_in_a_pipe() -> None:
    table = component_table([Row("ok", "code", " ".join(f"word{i}" for i in range(40)))])
    lines = drawn(table, 80)
    assert max(map(len, lines)) == 80
    assert all(f"word{i}" in "\n".join(lines) for i in range(40))
    assert len(table.plain().splitlines()) == 2


def test_a_pipe_gets_no_boxes_and_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    show(component_table([Row("ok", "GPU", "x" * 300)]))
    out = capsys.readouterr().out
    assert "x" * 300 in out
    assert re.search("[╭│─\x1b]", out) is None


@pytest.mark.parametrize("width", [80, 160])
def test_what_comes_from_a_pod_is_shown_as_text(width: int) -> None:
    tables: list[Printable] = [
        component_table([Row("ok", HOSTILE, HOSTILE)]),
        runs_table([state(run_id="r", reason=HOSTILE)]),
        scoreboard({HOSTILE: result(0.3)}),
    ]
    for table in tables:
        assert SHOWN in table.plain()
        assert not re.search("\x1b[^\\[]|\x1b\\[31m|\u202e", "\n".join(drawn(table, width)))
        assert "[red]x[/]" in "\n".join(drawn(table, width))


def test_runs_tell_state_age_and_time_on_the_pods_clock() -> None:
    states = [
        state(
            queued_at=100.0, started_at=110.0, ended_at=175.0, gpu=0, last_lines=["a", "the end"]
        ),
        state(
            run_id=OTHER, state="FAILED", queued_at=700.0, reason="exit code 1", last_lines=["b"]
        ),
        state(run_id=OTHER, state="RUNNING", queued_at=930.0, started_at=940.0),
        state(run_id=OTHER, state="QUEUED", queued_at=940.0, queue_position=2),
    ]
    lines = runs_table(states).plain().splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["run", "state", "age", "took", "gpu", "what"],
        [RUN, "SUCCEEDED", "15m 00s", "1m 05s", "0", "the end"],
        [OTHER, "FAILED", "5m 00s", "exit code 1"],
        [OTHER, "RUNNING", "1m 10s", "1m 00s"],
        [OTHER, "QUEUED 2", "1m 00s"],
    ]


def test_runs_fit_80_columns_with_their_whole_id() -> None:
    long = "20261122-153012-jade-ensemble-3f2a"
    states = [state(run_id=long, queued_at=0.0, started_at=1.0, gpu=0, reason="why " * 40)]
    lines = drawn(runs_table(states), 80)
    assert max(map(len, lines)) <= 80
    assert lines[-1].startswith(long + "  SUCCEEDED")
    assert lines[-1].rstrip().endswith("…")


def test_a_scoreboard_has_each_split_and_the_baselines_on_the_windows_they_were_judged_on() -> None:
    lines = scoreboard({RUN: result(0.4), OTHER: result(0.1)}).plain().splitlines()
    names = [line.split("  ")[0] for line in lines if line]
    validation, test = names.index("validation (95% interval)"), names.index("test (95% interval)")
    assert names[validation + 2 : test] == [RUN, OTHER]
    assert names[test + 2 :] == [RUN, OTHER, "largest_bar"]
    assert "0.400 [0.300, 0.500]" in lines[2]


def test_without_test_windows_the_baselines_stand_beside_validation() -> None:
    text = scoreboard({RUN: result(0.4, has_test=False)}).plain()
    assert "test (" not in text
    assert "largest_bar" in text


def test_baselines_on_other_windows_are_told_apart() -> None:
    text = scoreboard({RUN: result(0.4), OTHER: result(0.1, baseline=0.3)}).plain()
    assert "\nlargest_bar  " in text
    assert f"largest_bar ({OTHER})" in text


@pytest.mark.parametrize(("width", "num_scores"), [(60, 3), (80, 6), (160, 9)])
def test_a_terminal_shows_as_many_scores_as_fit(width: int, num_scores: int) -> None:
    lines = drawn(scoreboard({RUN: result(0.4), OTHER: result(0.1)}), width)
    assert max(map(len, lines)) <= width
    assert len(lines[1].split()) == num_scores


def test_the_best_value_stands_out_and_low_is_good_where_it_is() -> None:
    (validation, _) = scoreboard({RUN: result(0.4), OTHER: result(0.1)}).tables(200)
    f1, centre = (validation.heads.index(head) for head in ("F1", "centre"))
    assert "green" in str(validation.rows[0][f1].style)
    assert "green" not in str(validation.rows[1][f1].style)
    assert "green" in str(validation.rows[1][centre].style)


def test_no_results_make_an_empty_board() -> None:
    assert scoreboard({}).plain() == ""
    assert drawn(scoreboard({}), 80) == []
