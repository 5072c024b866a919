from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from moola_core.data.corrections import Correction, apply_corrections, read_corrections
from moola_core.errors import DataError


def table() -> pa.Table:
    """A run at 50..59 of its window, with copies that begin 52 later and earlier, and another."""
    return pa.table(
        {
            "window_id": ["a", "a+52", "a-52", "b"],
            "base_window_id": ["a", "a", "a", "b"],
            "offset": [0, 52, -52, 0],
            "label": ["up", "up", "up", "down"],
            "expansion_start": [50, 0, 102, 10],
            "expansion_end": [59, 7, 104, 19],
            "overlap_fraction": [1.0, 0.8, 0.3, 1.0],
        }
    )


def corrected(*some: dict[str, Any]) -> list[tuple[object, ...]]:
    done, _ = apply_corrections(table(), [Correction(**one) for one in some], "c.json")
    names = ("window_id", "expansion_start", "expansion_end", "label", "overlap_fraction")
    return list(zip(*(done[name].to_pylist() for name in names), strict=True))


def test_a_change_moves_the_copies_of_its_window() -> None:
    change = {"action": "change", "start": 47, "stop": 67, "label": "flat"}
    assert corrected({"window_id": "a", **change}) == [
        ("a", 47, 66, "flat", 1.0),
        ("a+52", 0, 14, "flat", 0.75),  # 52 to 66 of 47 to 66
        ("b", 10, 19, "down", 1.0),  # a-52 would begin at 99 and show 6 of 20 bars, under a third
    ]


def test_a_copy_that_shows_just_a_third_is_kept() -> None:
    change = {"action": "change", "start": 47, "stop": 65, "label": "flat"}
    rows = corrected({"window_id": "a", **change})
    assert rows[2] == ("a-52", 99, 104, "flat", 6 / 18)


def test_a_drop_drops_the_copies_but_not_those_that_are_kept() -> None:
    assert [row[0] for row in corrected({"window_id": "a", "action": "drop"})] == ["b"]
    kept = corrected({"window_id": "a", "action": "drop"}, {"window_id": "a+52", "action": "keep"})
    assert [row[0] for row in kept] == ["a+52", "b"]


def test_a_span_that_touches_an_edge_moves_no_other_window() -> None:
    change = {"action": "change", "start": 0, "stop": 10, "label": "up"}
    rows = corrected({"window_id": "a+52", **change})
    assert rows[0] == ("a", 50, 59, "up", 1.0)
    assert rows[1] == ("a+52", 0, 9, "up", 0.8)
    rows = corrected({"window_id": "a-52", **change, "start": 95, "stop": 105})
    assert rows[0] == ("a", 50, 59, "up", 1.0)
    assert rows[2] == ("a-52", 95, 104, "up", 0.3)


def test_keep_changes_nothing() -> None:
    assert len(corrected({"window_id": "a", "action": "keep"})) == 4


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        ({"window_id": "z", "action": "drop"}, "correction 0, window_id: expected a window"),
        (
            {"window_id": "a", "action": "drop", "was_start": 30, "was_stop": 40},
            "window a: expected the span 30 to 40 (half-open) that was looked at, got 50 to 60",
        ),
    ],
)
def test_corrections_of_other_windows_are_refused(one: dict[str, Any], expected: str) -> None:
    with pytest.raises(DataError) as caught:
        corrected(one)
    assert expected in str(caught.value)
    assert "--seed" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[", "expected a file saved by the page of jobs.review"),
        ("{}", "corrections: Field required"),
        ({"corrections": [{"window_id": "a", "action": "burn"}]}, "corrections.0.action"),
        (
            {"corrections": [{"window_id": "a", "action": "change", "start": 9, "stop": 9}]},
            "correction 0: expected start < stop and a label, got 9, 9, ''",
        ),
        (
            {
                "corrections": [
                    {"window_id": "a", "action": "change", "start": 9, "stop": 9, "label": "up"}
                ]
            },
            "correction 0: expected start < stop and a label, got 9, 9, 'up'",
        ),
        (
            {"corrections": [{"window_id": "a", "action": "change", "start": 9, "stop": 2001}]},
            "corrections.0.stop",
        ),
        (
            {"corrections": 2 * [{"window_id": "a", "action": "drop"}]},
            "correction 1: expected each window once, got 'a' again",
        ),
    ],
)
def test_a_bad_file_is_one_line(content: object, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_corrections(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_corrections(tmp_path / "c.json")


def test_a_mark_before_the_file_is_passed_over(tmp_path: Path) -> None:
    corrections = [{"window_id": "a", "action": "drop"}]
    text = json.dumps({"schema": 1, "corrections": corrections})
    (tmp_path / "c.json").write_text(text, encoding="utf-8-sig")
    assert [one.window_id for one in read_corrections(tmp_path / "c.json")] == ["a"]
