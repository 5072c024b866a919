"""The pictures: written twice, readable, the same bytes for the same run, whatever the run did."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.sweep import Tried
from moola_core.plots.diagnostics import (
    draw_losses,
    draw_reliability,
    draw_sigmas,
    draw_span_probs,
    draw_sweeps,
)
from moola_core.plots.gallery import NUM_PANELS, draw_gallery

# Libraries start programs at their first use: lscpu, fc-list.
pytestmark = pytest.mark.process

RNG = np.random.default_rng(0)
PROBS = RNG.random((4, 105))
INSIDE = RNG.random((4, 105)) < 0.07
SVG = "{http://www.w3.org/2000/svg}"


def _history(epochs: int, *, is_validated: bool = True) -> list[dict[str, Any]]:
    losses = {"total": 3.0, "span": 1.0, "type": 0.5}
    both = {"sigma": {"span": 0.9, "type": 1.1}, "share": {"span": 0.6, "type": 0.4}}
    one = {"train": losses, "validation": losses if is_validated else {}, **both}
    return [{"epoch": epoch, **one} for epoch in range(1, epochs + 1)]


def _tried(kind: str, **constant: float) -> Tried:
    decoder = DecoderConfig.model_validate({"kind": kind, **constant})
    return Tried(decoder, f1=0.5, precision=0.6, recall=0.4, iou50=0.3)


def _windows(count: int) -> tuple[Any, ...]:
    close = 9000 + np.cumsum(RNG.normal(size=(count, 105)), axis=1)
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high, low = np.maximum(opened, close) + 1, np.minimum(opened, close) - 1
    true = np.tile([40, 47], (count, 1))
    found = np.stack([np.full(count, 40), 40 + np.arange(count)], axis=1)  # the first is empty
    names = [f"window {number} <&> $_{{" for number in range(count)]
    return np.stack([opened, high, low, close], -1), true, found, RNG.random((count, 105)), names


SWEEP = [_tried("threshold", threshold=k / 10) for k in range(1, 10)]
RELIABLE = {"low": 0.2, "said": 30.0, "mean": 0.24, "true": 0.2}
PICTURES: dict[str, Callable[[Path], None]] = {
    "probabilities": lambda path: draw_span_probs(path, PROBS, INSIDE),
    "no bar inside": lambda path: draw_span_probs(path, PROBS, np.zeros_like(INSIDE)),
    "losses": lambda path: draw_losses(path, [_history(20)]),
    "one epoch": lambda path: draw_losses(path, [_history(1)]),
    "an ensemble": lambda path: draw_losses(path, [_history(5), _history(3)]),
    "no validation": lambda path: draw_losses(path, [_history(5, is_validated=False)]),
    "sigmas": lambda path: draw_sigmas(path, [_history(20), _history(20)]),
    "thresholds": lambda path: draw_sweeps(path, {"threshold": SWEEP}, SWEEP[3]),
    "another decoder": lambda path: draw_sweeps(path, {"threshold": SWEEP}, _tried("viterbi")),
    "reliability": lambda path: draw_reliability(path, {"bar": [RELIABLE], "confidence": []}),
    "a gallery": lambda path: draw_gallery(path, *_windows(30)),
    "one window": lambda path: draw_gallery(path, *_windows(1)),
}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES)
def test_each_picture_is_a_png_and_an_svg(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    assert width >= 700
    assert height >= 480
    assert ET.parse(tmp_path / "a.svg").getroot().tag == f"{SVG}svg"
    assert "mathdefault" not in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "matplotlib.pyplot" not in sys.modules


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    windows = _windows(3)
    for name in ("a.png", "b.png"):
        draw_gallery(tmp_path / name, *windows)
    for kind in ("png", "svg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_the_gallery_goes_from_the_worst_to_the_best(tmp_path: Path) -> None:
    draw_gallery(tmp_path / "a.png", *_windows(30))
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    titles = [line for line in text.splitlines() if "IoU" in line]
    assert len(titles) == NUM_PANELS
    assert titles[0].split("IoU")[1].split()[0] == "0.00"
    assert titles[-1].split("IoU")[1].split()[0] == "1.00"
