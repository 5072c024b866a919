#!/usr/bin/env bash
# tsaug 0.2.1, Crop(size, resize).augment(X, Y)
# Guess: the mask of a cropped and resized window is still one of 0 and 1, as Resize and TimeWarp give it.
# Seen: at each boundary the mask is interpolated and left so: 0.18 and 0.64. Output, for bars 4 to 9, 8 and 9 of them
# marked, stretched to 12: `0 0 0 0 0 0 0 0.18 0.64 1 1 1; bars as integers: 3; Resize to 24: {0, 1}`.
# Hurts: who augments labelled windows: cast to integers, as most losses want, bars at a boundary are background, and
# spans get shorter the more they are stretched.
# Exit 0: it behaves as described; 1: the behaviour has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export HOME=$T
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install --quiet --disable-pip-version-check tsaug==0.2.1 numpy==2.2.6
cat >"$T/try.py" <<'PYTHON'
import numpy as np
from tsaug import Crop, Resize

prices = np.arange(12.0)[None]
marked = (prices >= 8).astype(int)
window, mask = Crop(size=6, resize=12, seed=0).augment(prices, marked)
_, plain = Resize(size=24).augment(prices, marked)
first, last = window[0, 0], window[0, -1]
seen = [round(float(value), 2) for value in mask[0]]
print(*(f"{value:g}" for value in seen), end="; ")
print(f"bars as integers: {mask.astype(int).sum()}; Resize to 24: {set(plain[0].tolist())}")
assert (first, last) == (4.0, 9.0), (first, last)
raise SystemExit(seen != [0.0] * 7 + [0.18, 0.64, 1.0, 1.0, 1.0] or set(plain[0].tolist()) != {0, 1})
PYTHON
cd "$T"
"$T/venv/bin/python" try.py
