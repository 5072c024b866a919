"""Windows that mark every span they show, cut around a list of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from moola_core.data.make_windows import Placement, make_windows
from moola_core.data.series import Bars
from moola_core.data.spans_file import MarkedSpan

SPANS = [(30, 40), (44, 50), (52, 60), (200, 210), (215, 219), (228, 236), (500, 520)]


def made(**changes: Any) -> tuple[list[dict[str, Any]], Any]:
    prices = np.full((700, 4), 100.0) + np.arange(700)[:, None] / 100
    marked = [MarkedSpan(i, a, b, "up" if i % 2 else "down") for i, (a, b) in enumerate(SPANS)]
    placement = Placement(**{"length": 64, "several": True, **changes})
    table, report = make_windows(Bars(prices, None), marked, placement, "spans.csv")
    return table.to_pylist(), report


def test_a_window_marks_all_that_it_shows_a_third_of() -> None:
    rows, report = made()
    assert report.kept == len(SPANS)
    assert len(rows) == report.kept - report.shared + report.copies < len(SPANS)
    assert sum(report.marked.values()) == len(rows)
    for row in rows:
        begin = round((row["features"][0][0] - 100) * 100)
        expected = []
        for number, (start, stop) in enumerate(SPANS):
            low, high = max(start - begin, 0), min(stop - begin, 64)
            if 3 * (high - low) >= stop - start:
                expected.append((low, high - 1, "up" if number % 2 else "down"))
        names = ("expansion_starts", "expansion_ends", "expansion_labels")
        shown = list(zip(*(row[name] for name in names), strict=True))
        assert shown == expected
        assert (row["expansion_start"], row["expansion_end"], row["label"]) in shown
    whole = {span for row in rows for span in spans_of(row)}
    assert whole >= set(SPANS)


def spans_of(row: dict[str, Any]) -> list[tuple[int, int]]:
    begin = round((row["features"][0][0] - 100) * 100)
    ends = zip(row["expansion_starts"], row["expansion_ends"], strict=True)
    return [(begin + first, begin + last + 1) for first, last in ends]


def test_copies_and_windows_without_a_span_have_their_own_lists() -> None:
    rows, report = made(shifts=(30, -30), negatives=2)
    assert report.copies > 0
    assert report.cut > 0
    negatives = [row for row in rows if row["label"] is None]
    assert len(negatives) == report.negatives == 2
    assert all(row["expansion_starts"] == [] for row in negatives)


def test_without_the_setting_there_are_no_lists() -> None:
    rows, report = made(several=False)
    assert len(rows) == report.kept == len(SPANS)
    assert "expansion_starts" not in rows[0]
