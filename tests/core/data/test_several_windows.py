"""Windows that mark every span they show, cut around a list of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


# A whole window, room for one more bar than on either side, some that touch, at both ends.
FIRST_ENDS = [(2, 6), (70, 86), (30, 43), (50, 52), (52, 54), (49, 50), (58, 60), (97, 100)]


@pytest.mark.parametrize("ends", [FIRST_ENDS, [(0, 3), (20, 22), (26, 27), (92, 95)]])
def test_a_window_lies_where_it_can_around_its_span_and_shows_no_other_whole(
    ends: list[tuple[int, int]],
) -> None:
    length, margin, number = 16, 3, 100
    bars = Bars(np.repeat(np.arange(float(number))[:, None], 4, axis=1), None)
    marked = [MarkedSpan(row, a, b, "up") for row, (a, b) in enumerate(ends)]
    drawn: dict[str, set[int]] = {f"span{row}": set() for row in range(len(ends))}
    for seed in range(100):
        table, _ = make_windows(bars, marked, Placement("random", margin, (), seed, 0, length), "s")
        for row in table.to_pylist():
            drawn[row["base_window_id"]].add(int(row["features"][0][0]))
    for row, (a, b) in enumerate(ends):
        at_least = min(margin, (length - (b - a)) // 2)
        begins = range(number - length + 1)
        near = [one for one in begins if at_least <= a - one and at_least <= one + length - b]
        near = near or [0 if a < number / 2 else number - length]  # at an end of the series
        others = [span for span in ends if span != (a, b)]
        shows = {one: any(one <= c and d <= one + length for c, d in others) for one in near}
        clear = {one for one in near if not shows[one]}
        assert drawn[f"span{row}"] == (clear or set(near))


def test_a_copy_shows_at_least_a_third_of_its_span() -> None:
    bars, marked = Bars(np.ones((100, 4)), None), [MarkedSpan(0, 30, 33, "up")]
    for several in (False, True):  # of the window from bar 24 on; of that from bar 33 on none
        placement = Placement("centre", 3, (8, 9), 0, 0, 16, several)
        rows = make_windows(bars, marked, placement, "s")[0].to_pylist()
        assert [(row["offset"], row["expansion_start"]) for row in rows] == [(0, 6), (8, 0)]
        assert not several or [row["expansion_starts"] for row in rows] == [[6], [0]]


@pytest.mark.parametrize("seed", range(40))
def test_windows_without_a_span_lie_wherever_there_is_room(seed: int) -> None:
    length, number = 16, 200
    spans = [(20, 25), (41, 43), (60, 90), (183, 184)]
    bars = Bars(np.repeat(np.arange(float(number))[:, None], 4, axis=1), None)
    marked = [MarkedSpan(row, a, b, "up") for row, (a, b) in enumerate(spans)]
    table, _ = make_windows(bars, marked, Placement("random", 0, (), seed, 99, length), "s")
    rows = [row for row in table.to_pylist() if row["label"] is None]
    begins = [int(row["features"][0][0]) for row in rows]
    taken = [*spans, *((one, one + length) for one in begins)]

    def is_free(begin: int, among: list[tuple[int, int]]) -> bool:
        return all(stop <= begin or begin + length <= start for start, stop in among)

    for i, begin in enumerate(begins):
        assert is_free(begin, taken[: len(spans) + i])
    assert not any(is_free(begin, taken) for begin in range(number - length + 1))
    # the gaps of exactly one window hold one each: before a span, between two, behind the last
    assert {25, 184} <= set(begins)
