from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moola_core.diagnostics import draw_losses, draw_sigmas, draw_span_probs


def _history(epochs: int) -> list[dict[str, Any]]:
    losses = {"total": 3.0, "span": 1.0, "type": 0.5}
    one = {"train": losses, "validation": losses, "sigma": {"span": 0.9, "type": 1.1}}
    return [{"epoch": epoch, **one} for epoch in range(1, epochs + 1)]


@pytest.mark.parametrize("epochs", [1, 20])
def test_pictures_are_png_of_a_readable_size(tmp_path: Path, epochs: int) -> None:
    rng = np.random.default_rng(0)
    draw_span_probs(tmp_path / "a.png", rng.random((4, 105)), rng.random((4, 105)) < 0.07)
    draw_losses(tmp_path / "b.png", _history(epochs))
    draw_sigmas(tmp_path / "c.png", _history(epochs))
    for name in "abc":
        data = (tmp_path / f"{name}.png").read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
        assert width > 500
        assert height > 300
    assert "matplotlib.pyplot" not in sys.modules


def test_windows_without_a_bar_inside_are_drawn_too(tmp_path: Path) -> None:
    draw_span_probs(tmp_path / "a.png", np.full((2, 105), 0.1), np.zeros((2, 105), dtype=bool))
    assert (tmp_path / "a.png").stat().st_size > 1000
