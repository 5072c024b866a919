"""Tables of components and runs: on 80 columns, on a wide terminal, in a pipe."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from moola_remote.config.typed import typed
from moola_remote.protocol.state import RunState
from moola_remote.ui.tables import Printable, Row, component_table, runs_table, show

HOSTILE = "[red]x[/] \x1b[31m\u202e\nnext"
SHOWN = r"[red]x[/] \x1b[31m\u202e\nnext"
RUN = "20261122-153012-jade-3f2a"
OTHER = "20261122-154112-seed-77aa"


def drawn(table: Printable, width: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def state(**keys: Any) -> RunState:
    return typed(RunState, {"run_id": RUN, "state": "SUCCEEDED", "now": 1000.0, **keys})


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
    ]
    for table in tables:
        assert SHOWN in table.plain()
        assert not re.search("\x1b[^\\[]|\x1b\\[31m|\u202e", "\n".join(drawn(table, width)))
        assert "[red]x[/]" in "\n".join(drawn(table, width))


def test_runs_show_what_idleness_has_cost() -> None:
    states = [
        state(queued_at=100.0, started_at=100.0, ended_at=1900.0, idle_share=0.5, price_per_hour=4),
        state(run_id=OTHER, queued_at=100.0, on_finish=3),
    ]
    rows = [re.split(r"\s{2,}", line) for line in runs_table(states).plain().splitlines()]
    assert rows[0][-2:] == ["idle", "what"]
    assert rows[1][-1] == "50% $1.00"
    assert rows[2][-1] == "on_finish: exit code 3"


def test_runs_show_state_age_and_time_on_the_pods_clock() -> None:
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
