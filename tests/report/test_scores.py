"""The laptop's scores are the job's, and its paired leads those of an independent bootstrap."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from moola_core.decoding.decode import Decoded, Predictions, log_odds
from moola_core.decoding.disjoint import FoundSets
from moola_core.evaluation.metrics import Truth, ratios, window_sums
from moola_core.spans.intervals import sets_mask, span_mask
from moola_remote.report.paired_bootstrap import lead, pair, scores_of
from moola_remote.report.predictions import Window, read_windows
from tests.report.made import make_run


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> list[Window]:
    folder = make_run(tmp_path_factory.mktemp("runs") / "run", num_windows=60)
    return read_windows(folder / "artifacts" / "predictions.parquet")


def of_the_core(windows: list[Window]) -> dict[str, float]:
    """The same windows scored by `moola_core.evaluation.metrics`."""
    found = np.array([[window.start, window.stop] for window in windows])
    true = np.array([[window.true_start, window.true_stop] for window in windows])
    probs = np.array([window.span_probs for window in windows])
    types = np.array([window.type_probs for window in windows])
    nothing = np.zeros_like(probs)
    predictions = Predictions(log_odds(probs), nothing, nothing, types)
    kinds = np.array([-1 if one.true_type is None else one.true_type for one in windows])
    truth = Truth(true, kinds, np.arange(len(windows)))
    decoded = Decoded(found, np.ones(len(windows)), span_mask(found))
    sums = window_sums(decoded, predictions, truth)
    values = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    return {name: float(value) for name, value in values.items()}


def test_every_score_is_that_of_the_job(windows: list[Window]) -> None:
    ours, theirs = scores_of(windows, 2), of_the_core(windows)
    assert set(ours) == set(theirs)
    # Logits on the core's side hold a probability to within 1e-6 of 0 and 1.
    assert ours == pytest.approx(theirs, abs=1e-7)


def test_so_it_is_where_some_windows_have_no_span(windows: list[Window]) -> None:
    none = {"true_start": 0, "true_stop": 0, "true_type": None, "hit_bars": 0}
    silent = {"start": 0, "stop": 0, "said_bars": 0, "hit_bars": 0}
    some = [
        Window(**{**vars(one), **(none if i % 3 else {}), **(silent if i % 5 == 0 else {})})
        for i, one in enumerate(windows)
    ]
    ours, theirs = scores_of(some, 2), of_the_core(some)
    assert set(ours) == set(theirs)
    assert ours == pytest.approx(theirs, abs=1e-7)
    assert 0 < ours["false_alarms"] < 1
    assert 0 < ours["misses"] < 1


def test_so_it_is_where_windows_hold_several(windows: list[Window]) -> None:
    several = [as_several(window, i) for i, window in enumerate(windows)]
    ours = scores_of(several, 2)
    found = FoundSets(
        np.array([i for i, one in enumerate(several) for _ in one.found]),
        np.array([span for one in several for span in one.found]),
        np.ones(sum(len(one.found) for one in several)),
    )
    most = max(len(one.true) for one in several)
    true = np.array([[*one.true, *[(0, 0)] * (most - len(one.true))] for one in several])
    kinds = [[*(one.true_types or ()), *[-1] * (most - len(one.true))] for one in several]
    probs = np.array([window.span_probs for window in several])
    nothing = np.zeros_like(probs)
    said = np.eye(2)[[kind for one in several for kind in one.types or ()]]
    mask = sets_mask(found.padded(len(several)), probs.shape[1])
    decoded = Decoded(*found.surest(len(several)), mask, found, said)
    truth = Truth(true[:, 0], true[:, 0, 0], np.arange(len(several)), (true, np.array(kinds)))
    sums = window_sums(decoded, Predictions(log_odds(probs), nothing, nothing), truth)
    theirs = ratios({name: part.sum(axis=0) for name, part in sums.items()})
    assert set(ours) == set(theirs)
    assert ours == pytest.approx({k: float(v) for k, v in theirs.items()}, abs=1e-7)
    assert 0 < ours["span_precision"] < 1
    assert 0 < ours["type_f1"] < 1


def as_several(window: Window, number: int) -> Window:
    """The same with further spans, true and found, at its end; some windows have none."""
    more = [(82 + number % 3, 90), (92, 97 + number % 7)][: number % 3]
    wrong = [(81, 86 + number % 4), (93, 99)][: (number + 1) % 3]
    true = [span for span in [(window.true_start, window.true_stop)] if span[1] <= 80] + more
    found = [span for span in [(window.start, window.stop)] if span[1] <= 80] + wrong
    bars = [{bar for a, b in spans for bar in range(a, b)} for spans in (found, true)]
    lists = {
        "starts": [a for a, _ in found],
        "stops": [b for _, b in found],
        "true_starts": [a for a, _ in true],
        "true_stops": [b for _, b in true],
        "types": [(a + number) % 2 for a, _ in found],
        "true_types": [a % 2 for a, _ in true],
        "said_bars": len(bars[0]),
        "hit_bars": len(bars[0] & bars[1]),
    }
    return Window(**{**vars(window), "type_probs": None, **lists})


def test_windows_that_were_not_found_are_misses(windows: list[Window]) -> None:
    empty = [
        Window(**{**vars(one), "start": 0, "stop": 0, "said_bars": 0, "hit_bars": 0})
        for one in windows
    ]
    ours = scores_of(empty, 2)
    assert (ours["f1"], ours["iou"], ours["hit3"]) == (0.0, 0.0, 0.0)
    assert math.isnan(ours["center_mae"])


def test_pairs_are_the_windows_of_both_with_one_truth(windows: list[Window]) -> None:
    moved = Window(**{**vars(windows[0]), "true_start": windows[0].true_start - 1})
    other_side = Window(**{**vars(windows[1]), "side": "test"})
    pairs = pair(windows, [moved, other_side, *windows[2:]])
    assert [one.window_id for one, _ in pairs] == [window.window_id for window in windows[2:]]


def test_a_lead_has_the_difference_and_a_paired_interval(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"run{skill}", skill=skill) for skill in (0.3, 0.9)]
    first, second = (read_windows(f / "artifacts" / "predictions.parquet") for f in folders)
    found = lead(pair(first, second), 2)
    assert (found.num_windows, found.num_groups) == (30, 15)
    for name, score in found.leads.items():
        difference = scores_of(second, 2)[name] - scores_of(first, 2)[name]
        assert score.value == pytest.approx(difference)
        assert score.low <= score.high
    # Of the mean over windows, numpy knows the answer without our sums.
    gains = np.array([b.iou - a.iou for a, b in zip(first, second, strict=True)])
    by_group = gains.reshape(15, 2).mean(axis=1)
    rng = np.random.default_rng(1)
    means = by_group[rng.integers(0, 15, (4000, 15))].mean(axis=1)
    assert found.leads["iou"].low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert found.leads["iou"].high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_a_run_leads_itself_by_nothing(windows: list[Window]) -> None:
    found = lead(pair(windows, windows), 2)
    assert {(one.value, one.low, one.high) for one in found.leads.values()} == {(0.0, 0.0, 0.0)}


def test_few_spans_make_no_interval(windows: list[Window]) -> None:
    found = lead(pair(windows[:8], windows[:8]), 2)
    assert found.num_groups == 4
    assert math.isnan(found.leads["f1"].low)
