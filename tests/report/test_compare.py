"""Runs side by side: as text of any width, as JSON, as a page."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from moola_remote.errors import ConfigError
from moola_remote.protocol.result import Result, Score, SplitScores
from moola_remote.report.compare_page import page, write_comparison
from moola_remote.report.comparison import Comparison, compare_runs
from moola_remote.report.library import choose
from moola_remote.report.run_files import read_run
from moola_remote.ui.comparison import ComparisonText, as_json
from moola_remote.ui.tables import Columns
from tests.report.made import keep_epochs, make_run, write

FIRST, SECOND = "20260101-000000-jade-abcd", "20260101-010000-jade-ef01"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    top = tmp_path_factory.mktemp("runs")
    return [
        make_run(top / FIRST, skill=0.4, model={"hidden_size": 96, "crf": False}),
        make_run(top / SECOND, skill=0.9, model={"hidden_size": 48, "crf": False}),
    ]


@pytest.fixture(scope="module")
def compared(folders: list[Path]) -> Comparison:
    return compare_runs([read_run(folder) for folder in folders])


def tables(compared: Comparison) -> Iterator[Columns]:
    return ComparisonText(compared).tables(80)


def drawn(compared: Comparison, width: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(ComparisonText(compared))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_only_what_differs_is_shown_and_the_rest_named(compared: Comparison) -> None:
    assert [(one.name, one.values) for one in compared.differences] == [
        ("model.hidden_size", ["96", "48"])
    ]
    assert compared.same == ["code", "data", "machine"]


def test_runs_without_a_recipe_differ_in_their_commands(tmp_path: Path) -> None:
    """The options of a plain script are all the settings it has."""
    runs = []
    for name, rate in ((FIRST, "0.1"), (SECOND, "0.2")):
        run = read_run(make_run(tmp_path / name, skill=0.4))
        assert run.spec is not None
        argv = ["python", "my train.py", "--lr", rate]
        runs.append(replace(run, config={}, spec=msgspec.structs.replace(run.spec, argv=argv)))
    compared = compare_runs(runs)
    assert [(one.name, one.values) for one in compared.differences] == [
        ("command", [f"python 'my train.py' --lr {rate}" for rate in ("0.1", "0.2")])
    ]
    assert compare_runs([runs[0], runs[0]]).same == ["command", "code", "data", "machine"]


def test_a_lead_is_paired_and_flipped_windows_are_counted(compared: Comparison) -> None:
    (rival,) = compared.splits["validation"].rivals
    assert rival.lead is not None
    assert (rival.lead.num_windows, rival.lead.num_groups) == (30, 15)
    won = [one for one, other in rival.flipped if other.is_hit and not one.is_hit]
    assert len(won) == rival.num_won > len(rival.flipped) - rival.num_won
    assert rival.lead.leads["iou50"].value == pytest.approx(
        (2 * rival.num_won - len(rival.flipped)) / 30
    )


def test_in_a_pipe_it_is_eighty_columns_wide_with_every_score(compared: Comparison) -> None:
    lines = ComparisonText(compared).plain().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for words in (
        *(f"A  {FIRST}", f"B  {SECOND}", "model.hidden_size  96  48", "the same: code, data"),
        *("validation, 95% intervals\nB - A paired on 30 windows of 15 spans", "rules on"),
        *("largest bar", "loss on validation, one scale", "flipped at IoU 0.5: B won"),
    ):
        assert words in text, words
    rows = {line.split("  ")[0] for line in lines}
    assert {"F1", "IoU≥.5", "type F1", "centre", "AP", "Hit±3"} <= rows


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_of_any_width_shows_every_column(compared: Comparison, width: int) -> None:
    lines = drawn(compared, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for words in ("A", "B", "B - A", "largest bar", "local segment", "IoU A", "lowest at"):
        assert words in text, words


def test_several_runs_are_each_measured_against_the_first(folders: list[Path]) -> None:
    compared = compare_runs([read_run(folder) for folder in [*folders, folders[0]]])
    text = ComparisonText(compared).plain()
    assert max(map(len, text.splitlines())) <= 80
    assert "B - A" in text
    assert "C - A" in text
    assert "C won 0, lost 0" in text


def test_runs_that_share_no_window_say_so(folders: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", side="test")
    compared = compare_runs([read_run(folders[0]), read_run(other)])
    assert "B shares no window with A" in ComparisonText(compared).plain()
    assert "B shares no window with A" in page(compared)


def test_scores_of_a_jobs_own_are_compared(tmp_path: Path) -> None:
    """A script of another project: result.json with its scores, no windows, no recipe."""
    runs = []
    for name, loss in ((FIRST, 0.25), (SECOND, 0.125)):
        run = read_run(make_run(tmp_path / name, num_windows=2))
        scores = {"val_loss": Score(loss), "f1": Score(0.5), "BLEU": Score(40 + loss)}
        result = Result(scores=SplitScores(validation=scores), baselines={"last": scores})
        runs.append(replace(run, result=result, windows=[]))
    compared = compare_runs(runs)
    text = ComparisonText(compared).plain()
    assert re.search(r"^F1 +0\.500 +0\.500$", text, re.MULTILINE)
    assert re.search(r"^val_loss +0\.250 +0\.125$", text, re.MULTILINE)
    assert re.search(r"^BLEU +40\.250 +40\.125$", text, re.MULTILINE)
    cells = [cell for table in tables(compared) for row in table.rows for cell in row]
    best = [cell for cell in cells if isinstance(cell, Text) and "green" in str(cell.spans)]
    assert [cell.plain for cell in best] == ["0.500", "0.500", "0.125", "40.250"]
    assert "shares no window" not in text
    found = page(compared)
    assert "shares no window" not in found
    assert found.count(">val_loss<") == 3  # the board, and rules of either
    assert found.count(">BLEU<") == 3


def test_a_run_that_was_cancelled_is_compared_as_far_as_it_went(
    folders: list[Path], tmp_path: Path
) -> None:
    cut = make_run(tmp_path / "cut", num_windows=1)
    (cut / "result.json").unlink()
    (cut / "artifacts" / "predictions.parquet").unlink()
    keep_epochs(cut, 3)
    text = ComparisonText(compare_runs([read_run(cut), read_run(folders[0])])).plain()
    assert "B shares no window with A" in text
    assert re.search(r"^A +[▁-█]{3} ", text, re.MULTILINE)
    assert choose(tmp_path, ["cut"]) == [cut]


def test_a_run_without_validation_has_no_curve_of_it(folders: list[Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "all", num_windows=1)
    events = (run / "events.jsonl").read_text()
    events = re.sub(r'"validation": {"total[^}]*}', '"validation": {}', events)
    (run / "events.jsonl").write_text(events)
    text = ComparisonText(compare_runs([read_run(run), read_run(folders[0])])).plain()
    curves = text.partition("loss on validation, one scale")[2]
    assert "!" not in curves
    assert re.findall(r"^([AB]) ", curves, re.MULTILINE) == ["B"]


def test_a_single_run_has_no_rival(folders: list[Path]) -> None:
    text = ComparisonText(compare_runs([read_run(folders[0])])).plain()
    assert "what differs" not in text
    assert "0.400 [.32 .48]" in text


def test_more_runs_than_letters_are_refused(folders: list[Path]) -> None:
    with pytest.raises(ConfigError, match="27 runs, expected at most 26"):
        compare_runs([read_run(folders[0])] * 27)


def test_json_has_a_line_a_run_and_one_of_what_is_between(compared: Comparison) -> None:
    *runs, between = (json.loads(json.dumps(line)) for line in as_json(compared))
    assert [run["run_id"] for run in runs] == [FIRST, SECOND]
    assert between["differences"] == {"model.hidden_size": ["96", "48"]}
    assert between["leads"]["validation"]["B"]["windows"] == 30


def test_the_page_shows_the_same(compared: Comparison, tmp_path: Path) -> None:
    write_comparison(compared, tmp_path / "compare.html")
    text = (tmp_path / "compare.html").read_text()
    assert "Windows that flipped, A and B" in text
    assert "model.hidden_size" in text
    assert len(text.encode()) < 6_000_000


def test_a_hostile_setting_is_text(folders: list[Path], tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", note="<script>alert(1)</script>\x1b[31m")
    write(other / "config.yaml", {"note": "<script>alert(1)</script>\x1b[31m"})
    compared = compare_runs([read_run(folders[0]), read_run(other)])
    assert "<script>alert" not in page(compared)
    assert "\x1b" not in ComparisonText(compared).plain()
