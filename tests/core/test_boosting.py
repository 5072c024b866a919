from __future__ import annotations

import numpy as np

from moola_core.boosting import boosted_bars
from moola_core.spans import span_iou
from moola_core.windows import Windows


def test_trees_find_spans_they_were_not_shown(windows: Windows) -> None:
    groups = np.unique(windows.group)
    is_shown = np.isin(windows.group, groups[: 3 * len(groups) // 4])
    shown, held_out = (windows.take(np.flatnonzero(chosen)) for chosen in (is_shown, ~is_shown))
    said = boosted_bars(shown, held_out.bars)
    chance = np.random.default_rng(0).permutation(held_out.spans)
    found, guessed = (span_iou(one, held_out.spans).mean() for one in (said.spans, chance))
    assert found > guessed + 0.1
