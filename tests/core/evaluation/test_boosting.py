from __future__ import annotations

import numpy as np
import pytest

from moola_core.data.windows import Windows
from moola_core.evaluation.boosting import boosted_bars, segments_through
from moola_core.spans.intervals import span_iou

# Libraries start programs at their first use: lscpu, fc-list.
pytestmark = pytest.mark.process


def test_trees_find_spans_they_were_not_shown(windows: Windows) -> None:
    groups = np.unique(windows.group)
    is_shown = np.isin(windows.group, groups[: 3 * len(groups) // 4])
    shown, held_out = (windows.take(np.flatnonzero(chosen)) for chosen in (is_shown, ~is_shown))
    said = boosted_bars(shown, held_out.bars)
    chance = np.random.default_rng(0).permutation(held_out.spans)
    found, guessed = (span_iou(one, held_out.spans).mean() for one in (said.spans, chance))
    assert found > guessed + 0.1


def test_segments_through_a_bar_equal_brute_force() -> None:
    path = np.cumsum(np.random.default_rng(1).normal(size=(2, 31)), axis=1)
    found = segments_through(path, 0.3)
    assert found.shape == (2, 30, 6)
    for row, one in enumerate(path.tolist()):
        gains = {
            (a, b): abs(one[b] - one[a]) - 0.3 * (b - a)
            for a in range(30)
            for b in range(a + 2, min(a + 25, 30) + 1)
        }
        top = max(gains.values())
        for bar in range(30):
            through = {span: gain for span, gain in gains.items() if span[0] <= bar < span[1]}
            a, b = max(through, key=lambda span: through[span])
            gain = gains[a, b]
            expected = [gain, gain / max(top, 1e-6), top - gain, b - a, bar - a, b - 1 - bar]
            np.testing.assert_allclose(found[row, bar], expected, atol=1e-12)
