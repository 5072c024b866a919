"""Pictures of windows whose label is doubtful."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from moola_core.data.windows import Windows
from moola_core.evaluation.label_noise import Finding
from moola_core.plots.gallery import draw_candles
from moola_core.plots.style import BLUE, VERMILLION, save_figure


def draw_findings(path: Path, windows: Windows, findings: list[Finding]) -> None:
    """Write a PNG: candlesticks a finding, of both windows, with the span that each labels."""

    def draw(axes: Any) -> None:
        panels = np.ravel(axes)
        for panel, finding in zip(panels, findings, strict=False):
            _draw_finding(panel, windows, finding)

    save_figure(path, draw, num_axes=max(len(findings), 1), panel=(3.6, 2.6))


def _draw_finding(axes: Any, windows: Windows, finding: Finding) -> None:
    bars = windows.bars[finding.row]
    drawn = [(finding.row, 0, BLUE)]
    if finding.other >= 0:
        # What the second window shows beyond the first one.
        bars = np.concatenate([bars, windows.bars[finding.other, len(bars) - finding.shift :]])
        drawn.append((finding.other, finding.shift, VERMILLION))
    draw_candles(axes, bars)
    for row, shift, color in drawn:
        start, stop = windows.spans[row] + shift
        label = f"{windows.window_id[row]}: [{start}, {stop}) {windows.labels[windows.types[row]]}"
        axes.axvspan(start - 0.5, stop - 0.5, color=color, alpha=0.3, label=label)
        for edge in (shift, shift + windows.bars.shape[1]):
            axes.axvline(edge - 0.5, color=color, linestyle=":", linewidth=1)
    axes.set(title=f"{finding.kind}, {finding.bars} bars", xlabel="bar of the first window")
    axes.legend(fontsize="x-small")
