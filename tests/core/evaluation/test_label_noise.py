from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moola_core.data.synthetic import Market
from moola_core.data.windows import Windows
from moola_core.evaluation.label_noise import Finding, find_noise, findings_table
from moola_core.plots.label_noise import draw_findings
from moola_core.spans.intervals import IntArray

# Libraries start programs at their first use: lscpu, fc-list.
pytestmark = pytest.mark.process


def _windows(market: Market, first: list[int], spans: list[list[int]], types: list[int]) -> Windows:
    """Windows of one series; spans are in bars of the series, cut at the window."""
    begin = np.array(first)
    reported: IntArray = np.clip(np.array(spans) - begin[:, None], 0, 105)
    full = np.diff(np.array(spans))[:, 0]
    return Windows(
        window_id=np.array([f"w{k}" for k in range(len(first))], dtype=object),
        group=np.arange(len(first)),
        bars=np.stack([market.bars[k : k + 105] for k in first]),
        spans=reported,
        types=np.array(types),
        overlap_fraction=np.diff(reported)[:, 0] / full,
        start_time=market.timestamp[begin].astype(np.int64),
        offset=np.zeros(len(first), dtype=np.int64),
    )


def test_windows_that_agree_have_no_findings(market: Market) -> None:
    windows = _windows(market, [0, 40, 500], [[60, 70], [60, 70], [520, 530]], [0, 0, 1])
    assert find_noise(windows) == []


def test_planted_noise_of_every_kind_is_found(market: Market) -> None:
    windows = _windows(
        market,
        [0, 40, 1000, 1052, 2000, 2030, 3000, 3003],
        [
            *([60, 70], [61, 73]),  # ends off by 1 and 3
            *([1048, 1058], [1048, 1058]),  # cut to its last 6 bars by the second window
            *([2040, 2050], [2110, 2117]),  # the first one's run is seen whole by the second
            *([3020, 3030], [3020, 3030]),  # other types, 3 bars apart
        ],
        [0, 0, 1, 1, 0, 0, 0, 1],
    )
    assert find_noise(windows) == [
        Finding("type", 6, 7, 3, 10),
        Finding("ends", 0, 1, 40, 4),
        Finding("other_run", 4, 5, 30, 10),
        Finding("clipped", 3, -1, 0, 4),
        Finding("near_duplicate", 6, 7, 3, 3),
    ]


def test_a_run_beyond_the_common_bars_contradicts_nothing(market: Market) -> None:
    windows = _windows(market, [0, 90], [[20, 30], [150, 160]], [0, 1])
    assert find_noise(windows) == []


def test_pairs_are_found_without_times(market: Market) -> None:
    windows = _windows(market, [0, 40], [[60, 70], [61, 70]], [0, 0])
    unknown = replace(windows, start_time=np.full(2, -1))
    assert [one.kind for one in find_noise(unknown)] == ["ends"]


@pytest.mark.parametrize(("near_bars", "expected"), [(2, 0), (3, 1)])
def test_near_is_what_the_caller_says(market: Market, near_bars: int, expected: int) -> None:
    windows = _windows(market, [0, 3], [[60, 70], [60, 70]], [0, 0])
    assert len(find_noise(windows, near_bars)) == expected


def test_the_table_names_both_windows(market: Market) -> None:
    windows = _windows(market, [0, 40, 1052], [[60, 70], [61, 73], [1048, 1058]], [0, 0, 1])
    ends, clipped = findings_table(windows, find_noise(windows)).to_pylist()
    assert (ends["window_id"], ends["other_window_id"], ends["shift"]) == ("w0", "w1", 40)
    assert (ends["other_start"], ends["other_stop"]) == (21, 33)
    assert (clipped["kind"], clipped["type"], clipped["other_window_id"]) == (
        *("clipped", "retracement"),
        None,
    )


def test_pictures_are_drawn(market: Market, tmp_path: Path) -> None:
    windows = _windows(market, [0, 40, 1052], [[60, 70], [61, 73], [1048, 1058]], [0, 0, 1])
    draw_findings(tmp_path / "one.png", windows, find_noise(windows))
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
